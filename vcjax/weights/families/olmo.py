"""OLMo 2 and 3: what comes out of attention and MLP is normalised, and q and k before their heads
are split. In OLMo 3 each fourth layer alone sees the whole text."""

from vcjax.models.architecture import Architecture, Layer
from vcjax.weights.families import rope
from vcjax.weights.families.config_json import ConfigJson
from vcjax.weights.families.family import Family, check_no_window, layer_types, sizes, sliding

NORMS = {
    "after_attention_norm": "post_attention_layernorm",
    "after_mlp_norm": "post_feedforward_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}
THETA = 500_000.0  # of OLMo 3


def read_olmo2(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=2048, rms_norm_eps=1e-5)
    check_no_window(config, shape)
    period = (Layer(rope.of_all_layers(config)),)
    return Architecture(**shape, period=period, norms="after", qk_norm="projection")


def read_olmo3(config: ConfigJson) -> Architecture:
    shape = sizes(config, max_position_embeddings=2048, rms_norm_eps=1e-5)
    count = shape["num_layers"]
    default = ["full_attention" if (n + 1) % 4 == 0 else "sliding_attention" for n in range(count)]
    # `transformers` gives a theta beside the tables to full attention alone.
    ropes = rope.of_types(
        config, {"full_attention": ("rope_theta", THETA), "sliding_attention": (None, THETA)}
    )
    period = sliding(
        config,
        layer_types(config, count, default),
        config.nullable("sliding_window", 4096),
        {kind: Layer(of_kind) for kind, of_kind in ropes.items()},
    )
    return Architecture(**shape, period=period, norms="after", qk_norm="projection")


OLMO2, OLMO3 = Family(read_olmo2, NORMS), Family(read_olmo3, NORMS)
