"""RoPE as config.json has it: `rope_parameters` of `transformers` 5, or the older `rope_theta` and
`rope_scaling`."""

import math
from collections.abc import Mapping, Sequence

from vcjax.errors import InputError
from vcjax.models.architecture import LinearScaling, Rope, RopeScaling, Scaling, YarnScaling
from vcjax.weights.families.config_json import ConfigJson

LAYER_TYPES = ("full_attention", "sliding_attention")
# "dynamic" scales texts beyond max_position_embeddings alone, and none is longer here.
UNSCALED = ("default", "dynamic")
NEEDED = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor",),
}


def of_all_layers(config: ConfigJson, theta: float = 10_000.0) -> Rope:
    """RoPE of a family whose layers have the same. theta: where the file has none."""
    tables = [config.table("rope_parameters"), config.table("rope_scaling")]
    if tables[0] is not None and {*LAYER_TYPES} & {*tables[0].fields}:
        config.refuse("rope_parameters", "but layers of this model_type share one RoPE")
    return _one(config, tables, "rope_theta", theta)


def of_types(config: ConfigJson, keys: Mapping[str, tuple[str | None, float]]) -> dict[str, Rope]:
    """RoPE of each layer type; `rope_scaling` of older files is that of full attention.

    keys: layer type -> the older files' key of its theta, if they have one, and its default.
    """
    parameters = config.table("rope_parameters")
    if parameters is not None and not {*parameters.fields} <= {*LAYER_TYPES}:
        config.refuse("rope_parameters", f"expected {' and '.join(LAYER_TYPES)} in it")
    ropes = {}
    for kind, (key, theta) in keys.items():
        tables = [parameters and parameters.table(kind)]
        if kind == "full_attention":
            tables.append(config.table("rope_scaling"))
        ropes[kind] = _one(config, tables, key, theta)
    return ropes


def _one(
    config: ConfigJson, tables: Sequence[ConfigJson | None], theta_key: str | None, theta: float
) -> Rope:
    """What the tables say, which have to agree. theta: where they and `theta_key` say none."""
    if theta_key is not None:
        theta = config.number(theta_key, theta)
    given = [table for table in tables if table is not None]
    ropes = {_of_table(config, table, theta) for table in given} or {Rope(theta)}
    if len(ropes) > 1:
        config.refuse("rope_scaling", "and rope_parameters say otherwise; remove one of them")
    (rope,) = ropes
    if theta_key is not None and theta_key in config.fields and rope.theta != theta:
        config.refuse(theta_key, f"and rope_parameters say {rope.theta:g}; remove one of them")
    return rope


def _of_table(config: ConfigJson, table: ConfigJson, theta: float) -> Rope:
    table.check_off(
        {
            "partial_rotary_factor": (None, 1, 1.0),
            "mscale": (None,),
            "mscale_all_dim": (None,),
            "truncate": (None, True),
        }
    )
    theta = table.number("rope_theta", theta)
    kind = table.fields.get("rope_type") or table.fields.get("type") or "default"
    if kind in UNSCALED:
        return Rope(theta)
    if not isinstance(kind, str) or kind not in NEEDED:
        raise InputError(
            f"{config.path}: RoPE scaling {kind!r} is not supported; "
            f"{', '.join(map(repr, (*NEEDED, *UNSCALED)))} are"
        )
    for key in NEEDED[kind]:
        if table.fields.get(key) is None:
            raise InputError(f"{config.path}: the RoPE scaling {kind!r} has no {key!r}")
    return Rope(theta, _scaling(config, table, kind))


def _scaling(config: ConfigJson, table: ConfigJson, kind: str) -> Scaling:
    factor = table.number("factor")
    if kind == "linear":
        return LinearScaling(factor)
    context = "original_max_position_embeddings"
    places = (config, table)  # the one outside goes first, as in `transformers`
    place = next((p for p in places if p.fields.get(context) is not None), None)
    original = place.integer(context) if place else config.integer("max_position_embeddings")
    if kind == "llama3":
        low, high = table.number("low_freq_factor"), table.number("high_freq_factor")
        return RopeScaling(factor, low, high, original)

    def optional(key: str, default: float) -> float:
        return default if table.fields.get(key) is None else table.number(key)

    attention = optional("attention_factor", 0.1 * math.log(factor) + 1 if factor > 1 else 1.0)
    return YarnScaling(
        factor, original, attention, optional("beta_fast", 32.0), optional("beta_slow", 1.0)
    )
