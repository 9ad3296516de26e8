"""Qwen2 and 2.5 (with biases), Qwen3 (with norms of q and k); later layers may have a window.
Qwen3-MoE: a Qwen3 whose MLPs are mixtures of experts."""

from vcjax.models.architecture import Architecture, Experts, Layer
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


# Routers of other models, which `transformers` would not read either.
OTHER_ROUTERS = {
    "scoring_func": (None, "softmax"),
    "topk_method": (None, "greedy"),
    "n_group": (None, 1),
    "topk_group": (None, 1),
    "routed_scaling_factor": (None, 1, 1.0),
    "n_shared_experts": (None, 0),
    "num_shared_experts": (None, 0),
    "shared_expert_intermediate_size": (None, 0),
    "decoder_sparse_step": (None, 1),  # else some layers are no mixtures
    "mlp_only_layers": (None, []),
}


def read_qwen3_moe(config: ConfigJson) -> Architecture:
    config.check_off(OTHER_ROUTERS)
    number = "num_local_experts" if "num_local_experts" in config.fields else "num_experts"
    count = config.integer(number, 128)
    per_token = config.integer("num_experts_per_tok", 8)
    if per_token > count:
        config.refuse("num_experts_per_tok", f"but there are {count} experts")
    if config.fields.get("hidden_act", "silu") != "silu":
        config.refuse("hidden_act", 'which is not supported; only "silu" is')
    shape = sizes(
        config,
        intermediate_size=6144,  # of layers that are no mixtures
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        num_key_value_heads=4,
    )
    shape["mlp_dim"] = config.integer("moe_intermediate_size", 768)
    switched_on = config.flag("use_sliding_window", False)
    window = config.nullable("sliding_window", 4096) if switched_on else None  # in all layers
    if window is None and "sliding_attention" in layer_types(config, shape["num_layers"], ()):
        config.refuse("layer_types", "but sliding_window is off")
    return Architecture(
        **shape,
        period=(Layer(rope.of_all_layers(config), window),),
        qk_norm="head",
        experts=Experts(count, per_token, config.flag("norm_topk_prob", False)),
    )


QWEN2, QWEN3, QWEN3_MOE = Family(read_qwen2), Family(read_qwen3), Family(read_qwen3_moe)
