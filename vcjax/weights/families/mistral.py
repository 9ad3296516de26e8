"""Mistral 7B and Nemo: a Llama whose layers all have a sliding window, or none."""

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, layer_types, sizes


def read(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=131072, rms_norm_eps=1e-6, num_key_value_heads=8)
    window = config.nullable("sliding_window", 4096)
    kind = "full_attention" if window is None else "sliding_attention"
    alike = [kind] * shape["num_layers"]
    if layer_types(config, shape["num_layers"], alike) != alike:
        config.refuse("layer_types", "but layers of a Mistral are alike")
    return Architecture(**shape, period=(Layer(rope.of_all_layers(config), window),))


FAMILY = Family(read)
