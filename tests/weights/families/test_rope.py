"""RoPE of a config.json turns queries as `transformers` does."""

from pathlib import Path

import numpy as np
import pytest

from vcjax.models.rope import angles
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson

POSITIONS = np.array([[0, 1, 5, 100, 5000]])
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
ROPES = {
    "none": {},
    "older": dict(rope_theta=500000.0, rope_scaling=None),
    "linear": dict(rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=1e6)),
    "linear, older": dict(rope_theta=1e6, rope_scaling=dict(type="linear", factor=4.0)),
    "dynamic, as far as max_position_embeddings": dict(
        max_position_embeddings=5001, rope_scaling=dict(type="dynamic", factor=2.0)
    ),
    "llama3": dict(
        rope_parameters=LLAMA3 | dict(rope_theta=5e5, original_max_position_embeddings=64)
    ),
    "llama3 of the whole context": dict(rope_parameters=LLAMA3 | dict(rope_theta=5e5)),
    "yarn": dict(
        rope_theta=1e6,
        rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=32),
    ),
    "yarn, all said": dict(
        rope_parameters=dict(
            rope_type="yarn",
            rope_theta=5e5,
            factor=8.0,
            original_max_position_embeddings=64,
            attention_factor=1.3,
            beta_fast=16,
            beta_slow=2,
        )
    ),
}


@pytest.mark.parametrize("name", ROPES)
def test_angles_are_those_of_transformers(torch, name):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    fields = dict(hidden_size=64, num_attention_heads=2, max_position_embeddings=256) | ROPES[name]
    peer = LlamaRotaryEmbedding(LlamaConfig(**fields))
    theirs = peer(torch.zeros(1), torch.from_numpy(POSITIONS))
    ours = angles(POSITIONS, rope.of_all_layers(ConfigJson(Path("config.json"), fields)), 32)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), atol=2e-3)  # of angles up to 5,000
        np.testing.assert_allclose(mine[0, :3], other.numpy()[0, :3], atol=1e-5)
