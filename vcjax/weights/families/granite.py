"""Granite 3: a Llama with four multipliers."""

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, check_no_window, sizes


def read(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=2048, rms_norm_eps=1e-6)
    check_no_window(config, shape)
    return Architecture(
        **shape,
        period=(Layer(rope.of_all_layers(config)),),
        embedding_multiplier=config.number("embedding_multiplier", 1.0),
        attention_scale=config.number("attention_multiplier", 1.0),
        residual_multiplier=config.number("residual_multiplier", 1.0),
        logit_divisor=config.number("logits_scaling", 1.0),
    )


FAMILY = Family(read)
