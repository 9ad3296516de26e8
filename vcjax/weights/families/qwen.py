"""Qwen2 and 2.5 (with biases), Qwen3 (with norms of q and k); later layers may have a window."""

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, layer_types, sizes, sliding


def period(config: ConfigJson, count: int) -> tuple[Layer, ...]:
    """Of `count` layers."""
    switched_on = config.flag("use_sliding_window", False)
    window = config.nullable("sliding_window", 4096) if switched_on else None
    full = count if window is None else min(config.integer("max_window_layers", 28), count)
    default = ["full_attention"] * full + ["sliding_attention"] * (count - full)
    layer = Layer(rope.of_all_layers(config))
    kinds = {"full_attention": layer, "sliding_attention": layer}
    return sliding(config, layer_types(config, count, default), window, kinds)


def read_qwen2(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=32768, rms_norm_eps=1e-6, num_key_value_heads=32)
    return Architecture(**shape, period=period(config, shape["num_layers"]), qkv_bias=True)


def read_qwen3(config: ConfigJson) -> Architecture:
    shape = sizes(
        config,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        num_key_value_heads=32,
        head_dim=128,
    )
    return Architecture(**shape, period=period(config, shape["num_layers"]), qk_norm="head")


QWEN2, QWEN3 = Family(read_qwen2), Family(read_qwen3)
