"""Gemma 3's text model, alone or inside a multimodal one, whose other parts are left out.

Norms around attention and MLP scale by 1 + w; embeddings are multiplied by the root of their size;
five of six layers have a window, and RoPE of their own.
"""

import dataclasses
from typing import Any

from vcjax.models.architecture import Architecture, Layer, LinearScaling
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import (
    ACTIVATIONS,
    Family,
    check_options,
    fields_of_sizes,
    layer_types,
    sizes,
    sliding,
)

NORMS = {
    "attention_norm": "input_layernorm",
    "after_attention_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "after_mlp_norm": "post_feedforward_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}
PATTERN = 6
# The fields of config.json may all be left out, and often are.
DEFAULTS = {
    "vocab_size": 262_208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
# Of a multimodal model: where files have the text model, and prefixes of the other parts.
TEXT = {"language_model.model.": "model.", "model.language_model.": "model."}
HEAD = "language_model.lm_head."
OTHER_PARTS = ("vision_tower.", "multi_modal_projector.")


def read_text(config: ConfigJson) -> Architecture:
    shape = sizes(config, **DEFAULTS)
    shape["activation"] = config.one_of("hidden_activation", ACTIVATIONS, "gelu_pytorch_tanh")
    count = shape["num_layers"]
    pattern = config.integer("sliding_window_pattern", PATTERN)
    default = ["sliding_attention" if (n + 1) % pattern else "full_attention" for n in range(count)]
    ropes = rope.of_types(
        config,
        {
            "full_attention": ("rope_theta", 1_000_000.0),
            "sliding_attention": ("rope_local_base_freq", 10_000.0),
        },
    )
    period = sliding(
        config,
        layer_types(config, count, default),
        config.nullable("sliding_window", 4096),
        {kind: Layer(of_kind) for kind, of_kind in ropes.items()},
    )
    scalar = config.number("query_pre_attn_scalar", 256)
    return Architecture(
        **shape,
        period=period,
        qk_norm="head",
        norms="both",
        one_plus_norm=True,
        embedding_multiplier=shape["embed_dim"] ** 0.5,
        attention_scale=None if scalar == shape["head_dim"] else scalar**-0.5,
    )


def read_multimodal(config: ConfigJson) -> Architecture:
    check_options(config)
    text = config.table("text_config")
    if text is None:
        config.refuse("text_config", "expected the text model")
    tied = config.flag("tie_word_embeddings", True)
    return dataclasses.replace(read_text(text), tied_embeddings=tied)


def own_name(name: str) -> str | None:
    """A tensor's name in the text model alone; None for one of another part."""
    if name.removeprefix("model.").startswith(OTHER_PARTS):
        return None
    for theirs, ours in TEXT.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name.removeprefix("language_model.") if name.startswith(HEAD) else name


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """config.json of the text model alone, from that of a multimodal one."""
    outside = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings")
    kept = {key: config[key] for key in (*outside, "torch_dtype", "dtype") if key in config}
    return {
        **config["text_config"],
        **kept,
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
    }


def config(architecture: Architecture) -> dict[str, Any]:
    """Of an architecture as a .gguf file has it."""
    sliding_layer, full_layer = architecture.period[0], architecture.period[-1]
    assert sliding_layer.rope is not None and full_layer.rope is not None
    scale, scaling = architecture.attention_scale, full_layer.rope.scaling
    assert scaling is None or isinstance(scaling, LinearScaling)
    scaled = {} if scaling is None else {"rope_type": "linear", "factor": scaling.factor}
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        **fields_of_sizes(architecture),
        "rope_theta": full_layer.rope.theta,
        "rope_local_base_freq": sliding_layer.rope.theta,
        "rope_scaling": scaled or None,
        "sliding_window": sliding_layer.window,
        "sliding_window_pattern": len(architecture.period),
        "query_pre_attn_scalar": architecture.head_dim if scale is None else round(scale**-2),
        "rms_norm_eps": architecture.norm_eps,
        "tie_word_embeddings": architecture.tied_embeddings,
        "hidden_activation": "gelu_pytorch_tanh",
    }


GEMMA3_TEXT = Family(read_text, NORMS, config=config)
GEMMA3 = Family(
    read_multimodal,
    NORMS,
    own_name=own_name,
    text_config=text_config,
    inside="model.language_model",
)
