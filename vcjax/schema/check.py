"""Checks a config against its keys. All messages name the key, the value and what was expected."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError as Refused

from vcjax.errors import InputError, hint, nearest
from vcjax.schema.keys import (
    Curve,
    Evaluation,
    Experiment,
    Graft,
    Judge,
    Mesh,
    ProbeFile,
    Shape,
)
from vcjax.schema.shown import shown
from vcjax.schema.stages import KINDS, Recipe, Source, Stated


def check_keys(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError with the nearest of `known`; where: what stands before the key."""
    for key in given:
        if key not in known:
            raise InputError(unknown_key(where, key, known))


def unknown_key(where: str, key: str, known: Iterable[str]) -> str:
    """The message; where: what stands before the key, at the top level "" or "--config."."""
    full_names = {name: where + name for name in known}
    if where in ("", "--config."):
        of_recipe = {name: f"{where}recipe.{name}" for name in Recipe.model_fields}
        if key in of_recipe or (not nearest(key, full_names) and nearest(key, of_recipe)):
            full_names = of_recipe
    return f"unknown config key {where}{key}; {hint(key, full_names, full_names.__getitem__)}"


def check_names(where: str, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError for a name of no stage, arm or contrast; where: the key that holds it."""
    for name in given:
        if name not in known:
            raise InputError(f"{where}: there is no {what} {name!r}; {hint(name, known)}")


def check(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every key, of the exact types. Raises InputError on the first fault.

    config: plain values; its stages hold their own recipes.
    """
    try:
        return Experiment.model_validate(config).model_dump()
    except Refused as refused:
        raise InputError(_message(refused.errors()[0])) from None


_SECTIONS = {"recipe": Recipe, "mesh": Mesh, "shape": Shape, "stated": Stated, "judge": Judge}
_NAMED = {"curves": Curve, "evaluations": Evaluation, "grafts": Graft}  # sections below names
# The types of pydantic's errors -> what was expected.
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "True or False",
    "dict_type": "a dict",
    "model_type": "a dict",
}
_BOUNDS = {
    "greater_than": "above {:g}",
    "greater_than_equal": "{:g} or more",
    "less_than": "below {:g}",
    "less_than_equal": "{:g} or less",
}
_TYPES = {
    str: "text",
    bool: "a truth value",
    int: "a whole number",
    float: "a decimal number",
    tuple: "a tuple",
    list: "a list",
    dict: "a dict",
}


def _message(error: Any) -> str:
    """One line of one of `ValidationError.errors()`."""
    loc, kind, value, context = error["loc"], error["type"], error["input"], error.get("ctx", {})
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]
    section: Any = Experiment
    if len(loc) > 2 and loc[0] == "stages":  # after a stage's name stands its kind
        section, loc = KINDS[str(loc[2])], (*loc[:2], *loc[3:])
        if loc[2:3] == ("mix",):  # then which of its forms
            section, loc = Source if len(loc) > 4 else section, (*loc[:3], *loc[4:])
    elif len(loc) > 2 and loc[0] == "probes":  # after an entry's number, which form it has
        section, loc = ProbeFile, (*loc[:2], *loc[3:])
    elif len(loc) > 2 and loc[0] in _NAMED:
        section = _NAMED[str(loc[0])]
    if kind == "extra_forbidden" and len(loc) > 1:
        section = _SECTIONS.get(loc[-2], section)
    where = "config" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    if kind == "extra_forbidden":
        parent, _, key = where.removeprefix("config.").rpartition(".")
        return unknown_key(f"{parent}." if parent else "", key, section.model_fields)
    if kind == "value_error":
        return f"{where}{context['error']}"
    if kind == "literal_error":
        choices = context["expected"].replace("''", "empty").replace("'", "").replace(" or ", ", ")
        return f"{where}: {shown(value)} is not one of {choices}"
    if kind in ("union_tag_invalid", "union_tag_not_found", "model_attributes_type"):
        return f"{where}: build it with one of {', '.join(f'{kind}(...)' for kind in KINDS)}"
    if kind in _BOUNDS:
        return f"{where}: {shown(value)}; it must be {_BOUNDS[kind].format(*context.values())}"
    expected = _EXPECTED.get(kind, error["msg"])
    if kind == "tuple_type":
        expected = f"a tuple, as ({shown(value)},)" if isinstance(value, str) else "a tuple"
    given = _TYPES.get(type(value), f"a {type(value).__name__}")
    is_plain = value is None or kind == "finite_number"  # None and nan say themselves what they are
    return f"{where}: {shown(value)}{'' if is_plain else f' is {given}'}; expected {expected}"
