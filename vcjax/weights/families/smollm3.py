"""SmolLM3: a Llama in which each fourth layer has no positions (NoPE, arXiv 2501.18795)."""

from vcjax.models.architecture import Architecture, Layer, shortest_period
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, layer_types, sizes


def read(config: ConfigJson) -> Architecture:
    shape = sizes(
        config,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    count = shape["num_layers"]
    has_rope = _has_rope(config, count)
    switched_on = config.flag("use_sliding_window", False)
    window = config.nullable("sliding_window", None) if switched_on else None
    default = [
        "full_attention" if window is None or with_rope else "sliding_attention"
        for with_rope in has_rope
    ]
    types = layer_types(config, count, default)
    if window is None and "sliding_attention" in types:
        config.refuse("layer_types", "but sliding_window is off")
    of_rope = rope.of_all_layers(config, theta=2_000_000.0)
    layers = [
        Layer(of_rope if with_rope else None, window if kind == "sliding_attention" else None)
        for kind, with_rope in zip(types, has_rope, strict=True)
    ]
    return Architecture(**shape, period=shortest_period(layers))


def _has_rope(config: ConfigJson, count: int) -> list[bool]:
    """Of each layer. The file's list may be longer; its 1 is a layer with positions."""
    flags = config.fields.get("no_rope_layers")
    if flags is None:
        interval = config.integer("no_rope_layer_interval", 4)
        return [bool((n + 1) % interval) for n in range(count)]
    if not isinstance(flags, list) or len(flags) < count or any(f not in (0, 1) for f in flags):
        config.refuse("no_rope_layers", f"expected 0 or 1 for each of {count} layers")
    return [bool(flag) for flag in flags[:count]]


FAMILY = Family(read)
