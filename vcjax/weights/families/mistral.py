"""Mistral 7B and Nemo: a Llama whose layers all have a sliding window, or none; those of Ministral
8B may differ."""

import functools

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, layer_types, sizes, sliding


def read(config: ConfigJson, alike: bool = True) -> Architecture:
    """alike: whether layers may not differ."""
    shape = sizes(config, max_position_embeddings=131072, rms_norm_eps=1e-6, num_key_value_heads=8)
    count, window = shape["num_layers"], config.nullable("sliding_window", 4096)
    default = ["full_attention" if window is None else "sliding_attention"] * count
    types = layer_types(config, count, default)
    if alike and types != default:
        config.refuse("layer_types", "but layers of a Mistral are alike")
    layer = Layer(rope.of_all_layers(config))
    kinds = {"full_attention": layer, "sliding_attention": layer}
    return Architecture(**shape, period=sliding(config, types, window, kinds))


MISTRAL, MINISTRAL = Family(read), Family(functools.partial(read, alike=False))
