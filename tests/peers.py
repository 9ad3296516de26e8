"""The same models in PyTorch, by other people's code: `transformers` and `peft`.

Import nothing of torch when a module loads: a machine without it runs all other tests.
"""

import dataclasses
import importlib.util
import os
from typing import Any

import numpy as np
import pytest

from vcjax.models.architecture import Architecture

PyTree = Any

PROJECTIONS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
NORMS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}


def require_torch() -> None:
    require("torch", "transformers", "peft")


def require(*packages: str) -> None:
    """Skips the test where a package of the extra "parity" is missing; in CI that is a failure."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)} (pip install vcjax[parity])"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI compares with it")
    pytest.skip(reason)


def llama(weights: PyTree, architecture: Architecture, family: str = "llama") -> Any:
    """The family's `transformers` model (float32, eager attention) with these weights."""
    import torch
    import transformers

    prefix = {"qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral", "nemo": "Mistral"}
    name = prefix.get(family, "Llama")
    rope = {"rope_type": "default", "rope_theta": architecture.rope_theta}
    if architecture.rope_scaling is not None:
        rope |= {"rope_type": "llama3", **dataclasses.asdict(architecture.rope_scaling)}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=architecture.vocab_size,
        hidden_size=architecture.embed_dim,
        intermediate_size=architecture.mlp_dim,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        num_key_value_heads=architecture.num_kv_heads,
        max_position_embeddings=architecture.context_length,
        rope_parameters=rope,
        rms_norm_eps=architecture.norm_eps,
        tie_word_embeddings=architecture.tied_embeddings,
        attn_implementation="eager",
        # Qwen2 knows no head size of its own.
        **({} if family == "qwen2" else {"head_dim": architecture.head_dim}),
        **({"sliding_window": None} if name == "Mistral" else {}),
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, array in by_name(weights).items():
            named.pop(name).copy_(torch.from_numpy(np.array(array)))
    assert not named, f"parameters that got no value: {sorted(named)}"
    return model


def by_name(weights: PyTree) -> dict[str, np.ndarray]:
    """Weights or their gradients under `transformers`' names, in its layout ([outputs, inputs])."""
    tensors = {"model.embed_tokens.weight": weights["embed"], "model.norm.weight": weights["norm"]}
    if "head" in weights:
        tensors["lm_head.weight"] = weights["head"]
    for ours, theirs in PROJECTIONS.items():
        for layer, kernel in enumerate(np.asarray(weights["blocks"][ours]["kernel"])):
            tensors[f"model.layers.{layer}.{theirs}.weight"] = kernel.T
        for layer, bias in enumerate(np.asarray(weights["blocks"][ours].get("bias", ()))):
            tensors[f"model.layers.{layer}.{theirs}.bias"] = bias
    for ours, theirs in NORMS.items():
        if ours not in weights["blocks"]:
            continue
        for layer, scale in enumerate(np.asarray(weights["blocks"][ours]["scale"])):
            tensors[f"model.layers.{layer}.{theirs}.weight"] = scale
    return tensors


def summed_loss(model: Any, documents: list[dict[str, np.ndarray]]) -> Any:
    """The sum over all documents of weight x -log p(target); each one runs alone, unpacked."""
    import torch
    from torch.nn.functional import cross_entropy

    total = torch.zeros(())
    for document in documents:
        tokens, targets = (
            torch.from_numpy(document[name]).long() for name in ("tokens", "targets")
        )
        losses = cross_entropy(model(tokens).logits[0], targets[0], reduction="none")
        total = total + (losses * torch.from_numpy(document["loss_weights"][0])).sum()
    return total
