"""What all families have in common: how their files name tensors, and most of their config.json."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, Layer, shortest_period
from vcjax.weights.families.config_json import ConfigJson

PROJECTIONS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
ROUTER = "mlp.gate"  # of a mixture of experts; its experts' names stand in `expert_name`
# Of families that normalise what goes into attention and MLP.
NORMS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}
ACTIVATIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}

# Options that no family here has: key of config.json -> the values that switch it off.
SWITCHED_OFF: dict[str, tuple[Any, ...]] = {
    "attention_bias": (None, False),
    "mlp_bias": (None, False),
    "partial_rotary_factor": (None, 1, 1.0),
    "is_causal": (True,),  # null is False in `transformers`
    "use_bidirectional_attention": (None, False),
    "attn_logit_softcapping": (None,),
    "final_logit_softcapping": (None,),
}


def check_options(config: ConfigJson) -> None:
    """Refuses what no family here has."""
    quantised = config.table("quantization_config")
    if quantised is not None:
        named = (quantised.fields.get(key) for key in ("quant_method", "quant_algo"))
        method = next(filter(None, named), "no method named")
        raise InputError(
            f"{config.path}: quantization_config: the weights are quantised ({method}); give the "
            "model that they were quantised from"
        )
    config.check_off(SWITCHED_OFF)


def expert_name(projection: str, expert: int) -> str:
    """As PROJECTIONS, of one expert; projection: gate, up or down."""
    return PROJECTIONS[projection].replace("mlp.", f"mlp.experts.{expert}.")


@dataclasses.dataclass(frozen=True)
class Family:
    """A `model_type` of `transformers`.

    read: its config.json. norms: the names of its norms in a layer. config: config.json of an
    architecture that came without one, for what other files than Hugging Face's hold. The last
    three are for a multimodal model, of which only the text model is read and written. own_name: a
    tensor's name in the text model alone, None for one of another part. text_config: config.json of
    the text model alone. inside: where `AutoModelForCausalLM` has the text model.
    """

    read: Callable[[ConfigJson], Architecture]
    norms: Mapping[str, str] = dataclasses.field(default_factory=lambda: NORMS)
    config: Callable[[Architecture], dict[str, Any]] | None = None
    own_name: Callable[[str], str | None] = lambda name: name
    text_config: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config
    inside: str = "model"


def sizes(config: ConfigJson, **defaults: Any) -> dict[str, Any]:
    """The arguments of `Architecture` that families read alike; not period and options.

    defaults: of fields that may be left out, as the family's config class in `transformers` has
    them; without one a size has to be there.
    """
    check_options(config)
    read = lambda kind, key: kind(key, *([defaults[key]] if key in defaults else []))  # noqa: E731
    embed_dim = read(config.integer, "hidden_size")
    heads = read(config.integer, "num_attention_heads")
    kv_heads = config.nullable("num_key_value_heads", defaults.get("num_key_value_heads")) or heads
    if heads % kv_heads:
        config.refuse("num_attention_heads", f"no multiple of num_key_value_heads, {kv_heads}")
    return dict(
        num_layers=read(config.integer, "num_hidden_layers"),
        embed_dim=embed_dim,
        mlp_dim=read(config.integer, "intermediate_size"),
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=config.nullable("head_dim", defaults.get("head_dim")) or embed_dim // heads,
        vocab_size=read(config.integer, "vocab_size"),
        context_length=read(config.integer, "max_position_embeddings"),
        norm_eps=read(config.number, "rms_norm_eps"),
        tied_embeddings=config.flag(
            "tie_word_embeddings", defaults.get("tie_word_embeddings", False)
        ),
        activation=config.one_of("hidden_act", ACTIVATIONS, "silu"),
    )


def fields_of_sizes(architecture: Architecture) -> dict[str, Any]:
    """`sizes` turned back: the fields of config.json that all families have."""
    return {
        "num_hidden_layers": architecture.num_layers,
        "hidden_size": architecture.embed_dim,
        "intermediate_size": architecture.mlp_dim,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_kv_heads,
        "head_dim": architecture.head_dim,
        "vocab_size": architecture.vocab_size,
        "max_position_embeddings": architecture.context_length,
    }


def layer_types(config: ConfigJson, count: int, default: Sequence[str]) -> Sequence[str]:
    """ "full_attention" or "sliding_attention" for each layer, as the file or the family says."""
    types = config.fields.get("layer_types")
    if types is None:
        return default
    known = ("full_attention", "sliding_attention")
    if not isinstance(types, list) or any(kind not in known for kind in types):
        config.refuse("layer_types", f"expected a list of {' and '.join(map(repr, known))}")
    if len(types) != count:
        config.refuse("layer_types", f"{len(types)} for {count} layers")
    return types


def sliding(
    config: ConfigJson, types: Sequence[str], window: int | None, layers: Mapping[str, Layer]
) -> tuple[Layer, ...]:
    """The period of layers of these types; layers: what each type is, its window apart."""
    if window is None and "sliding_attention" in types:
        config.refuse("layer_types", "but sliding_window is off")
    of_type = {
        "full_attention": layers["full_attention"],
        "sliding_attention": dataclasses.replace(layers["sliding_attention"], window=window),
    }
    return shortest_period([of_type[kind] for kind in types])


def check_no_window(config: ConfigJson, shape: Mapping[str, Any]) -> None:
    """Refuses a window in a family that has none, unless no text is longer. shape: of `sizes`."""
    window = config.nullable("sliding_window", None)
    if window is not None and window < shape["context_length"]:
        config.refuse("sliding_window", "which this model_type does not have")
    if "sliding_attention" in layer_types(config, shape["num_layers"], ()):
        config.refuse("layer_types", "but this model_type has no sliding window")
