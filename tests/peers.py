"""The same models in PyTorch, by other people's code: `transformers` and `peft`.

Import nothing of torch when a module loads: a machine without it runs all other tests.
"""

import dataclasses
import importlib.util
import os
from typing import Any

import numpy as np
import pytest

from vcjax.models.architecture import (
    Architecture,
    LinearScaling,
    Rope,
    RopeScaling,
    YarnScaling,
)

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
OWN_HEAD_DIM = (
    "llama",
    "llama3",
    "smollm2",
    "qwen3",
    "qwen3_moe",
    "mistral",
    "nemo",
    "ministral",
    "gemma3",
)


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


CLASSES = {  # of `transformers`; the other families are Llamas
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "qwen3_moe": "Qwen3Moe",
    "mistral": "Mistral",
    "nemo": "Mistral",
    "ministral": "Ministral",
    "granite": "Granite",
    "olmo2": "Olmo2",
    "olmo3": "Olmo3",
    "gemma3": "Gemma3",
    "smollm3": "SmolLM3",
}


def llama(weights: PyTree, architecture: Architecture, family: str = "llama") -> Any:
    """The family's `transformers` model (float32, eager attention) with these weights."""
    import torch
    import transformers

    name = CLASSES.get(family, "Llama")
    kind = getattr(transformers, "Gemma3TextConfig" if family == "gemma3" else f"{name}Config")
    config = kind(
        vocab_size=architecture.vocab_size,
        hidden_size=architecture.embed_dim,
        intermediate_size=architecture.mlp_dim,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        num_key_value_heads=architecture.num_kv_heads,
        max_position_embeddings=architecture.context_length,
        rms_norm_eps=architecture.norm_eps,
        tie_word_embeddings=architecture.tied_embeddings,
        attn_implementation="eager",
        pad_token_id=None,
        # Some know no head size of their own.
        **({"head_dim": architecture.head_dim} if family in OWN_HEAD_DIM else {}),
        **_positions(architecture, family),
        **_options(architecture, family),
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, array in by_name(weights).items():
            named.pop(name).copy_(torch.from_numpy(np.array(array)))
    assert not named, f"parameters that got no value: {sorted(named)}"
    return model


def multimodal(weights: PyTree, architecture: Architecture) -> Any:
    """A Gemma 3 with eyes, whose text model has these weights."""
    import transformers

    text = llama(weights, architecture, "gemma3")
    eyes = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    config = transformers.Gemma3Config(text_config=text.config.to_dict(), vision_config=eyes)
    both = transformers.Gemma3ForConditionalGeneration(config)
    both.model.language_model.load_state_dict(text.model.state_dict())
    both.tie_weights()
    return both


def _positions(architecture: Architecture, family: str) -> dict[str, Any]:
    """RoPE and windows."""
    layers = [
        architecture.period[n % len(architecture.period)] for n in range(architecture.num_layers)
    ]
    if family == "smollm3":
        positions = [int(layer.rope is not None) for layer in layers]
        return {"rope_parameters": _rope(layers[0].rope), "no_rope_layers": positions}
    types = ["full_attention" if x.window is None else "sliding_attention" for x in layers]
    ropes = {kind: _rope(layer.rope) for kind, layer in zip(types, layers, strict=True)}
    window = min((layer.window for layer in layers if layer.window is not None), default=None)
    if family in ("olmo3", "gemma3"):
        return {"rope_parameters": ropes, "layer_types": types, "sliding_window": window}
    rope, *_ = ropes.values()
    positions = {"rope_parameters": rope}
    if family in ("mistral", "nemo", "ministral"):
        positions["sliding_window"] = window
    if family == "ministral":
        positions["layer_types"] = types
    return positions


def _rope(rope: Rope) -> dict[str, Any]:
    names = {RopeScaling: "llama3", LinearScaling: "linear", YarnScaling: "yarn"}
    scaling = {} if rope.scaling is None else dataclasses.asdict(rope.scaling)
    kind = names.get(type(rope.scaling), "default")
    return {"rope_type": kind, "rope_theta": rope.theta, **scaling}


def _options(architecture: Architecture, family: str) -> dict[str, Any]:
    if family == "granite":
        return dict(
            embedding_multiplier=architecture.embedding_multiplier,
            attention_multiplier=architecture.attention_scale,
            residual_multiplier=architecture.residual_multiplier,
            logits_scaling=architecture.logit_divisor,
        )
    if family == "gemma3":
        return dict(query_pre_attn_scalar=round(architecture.attention_scale**-2))
    if family == "qwen3_moe":
        return dict(
            moe_intermediate_size=architecture.mlp_dim,
            num_experts=architecture.experts.count,
            num_experts_per_tok=architecture.experts.per_token,
            norm_topk_prob=architecture.experts.normalised,
        )
    return {}


def by_name(weights: PyTree) -> dict[str, np.ndarray]:
    """Weights or their gradients under `transformers`' names, in its layout ([outputs, inputs])."""
    tensors = {"model.embed_tokens.weight": weights["embed"], "model.norm.weight": weights["norm"]}
    if "head" in weights:
        tensors["lm_head.weight"] = weights["head"]
    experts = ("gate", "up", "down") if "router" in weights["blocks"] else ()
    if experts:
        tensors |= _experts(weights["blocks"])
    for ours, theirs in PROJECTIONS.items():
        if ours in experts:
            continue
        for layer, kernel in enumerate(np.asarray(weights["blocks"][ours]["kernel"])):
            tensors[f"model.layers.{layer}.{theirs}.weight"] = kernel.T
        for layer, bias in enumerate(np.asarray(weights["blocks"][ours].get("bias", ()))):
            tensors[f"model.layers.{layer}.{theirs}.bias"] = bias
    for ours, theirs in _norms(weights["blocks"]).items():
        for layer, scale in enumerate(np.asarray(weights["blocks"][ours]["scale"])):
            tensors[f"model.layers.{layer}.{theirs}.weight"] = scale
    return tensors


def _experts(blocks: PyTree) -> dict[str, np.ndarray]:
    """The router and the experts' tensors, of which `transformers` has one for all experts."""
    tensors = {}
    kernels = {name: np.asarray(blocks[name]["kernel"]) for name in ("router", *PROJECTIONS)}
    for layer, router in enumerate(kernels["router"]):
        gate, up, down = (kernels[n][layer].swapaxes(1, 2) for n in ("gate", "up", "down"))
        both = np.concatenate([gate, up], axis=1)
        place = f"model.layers.{layer}.mlp"
        tensors |= {f"{place}.gate.weight": router.T, f"{place}.experts.down_proj": down}
        tensors[f"{place}.experts.gate_up_proj"] = both
    return tensors


def _norms(blocks: PyTree) -> dict[str, str]:
    """The norms that a block has: our name -> theirs."""
    names = {
        "attention_norm": "input_layernorm",
        "after_attention_norm": "post_attention_layernorm",
        "mlp_norm": "post_attention_layernorm",
        "after_mlp_norm": "post_feedforward_layernorm",
        "q_norm": "self_attn.q_norm",
        "k_norm": "self_attn.k_norm",
    }
    if {"mlp_norm", "after_mlp_norm"} <= blocks.keys():
        names["mlp_norm"] = "pre_feedforward_layernorm"
    return {ours: theirs for ours, theirs in names.items() if ours in blocks}


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
