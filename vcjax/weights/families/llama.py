"""Llama 2 and 3, SmolLM2, and what else has their model_type: nothing that `Architecture` adds."""

from typing import Any

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, check_no_window, fields_of_sizes, sizes


def read(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=2048, rms_norm_eps=1e-6)
    check_no_window(config, shape)
    return Architecture(**shape, period=(Layer(rope.of_all_layers(config)),))


def config(architecture: Architecture) -> dict[str, Any]:
    """Of one without scaled RoPE or options of other families."""
    (layer,) = architecture.period
    assert layer.rope is not None and layer.rope.scaling is None
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **fields_of_sizes(architecture),
        "rope_theta": layer.rope.theta,
        "rms_norm_eps": architecture.norm_eps,
        "tie_word_embeddings": architecture.tied_embeddings,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }


FAMILY = Family(read, config=config)
