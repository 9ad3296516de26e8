"""Probe files: the questions that measure what a model came to value.

JSON, one probe a line or a list of them. A probe that breaks the format stops the read with an
InputError that names file, line and field. JSON's null in an optional field means that the field is
not given.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcjax.data.fields import fail, kind, one_of, present, refuse_unknown, text
from vcjax.data.json_files import read_json_records

SCOPES = ("out_of_domain", "in_domain")  # the first is the default, here and below
SPLITS = ("held_out", "development")
CONTRASTS = ("values", "neutral", "format")
EXPLICITNESS = ("explicit", "implicit")

_SHARED_PROBE_FIELDS = {
    "kind", "id", "options", "domain", "scope", "split", "contrast", "explicitness",
}  # fmt: skip
PROBE_FIELDS = _SHARED_PROBE_FIELDS | {"template", "values"}
OLDER_PROBE_FIELDS = _SHARED_PROBE_FIELDS | {"question", "target", "value"}


@dataclass(frozen=True)
class ChoiceProbe:
    """One choice between two options, asked in both orders.

    template has {a} for the option that is named first and {b}, after it, for the other. values
    names the value that each option stands for, None for neither. scope is in_domain or
    out_of_domain, split is development or held_out, contrast is values, neutral or format,
    explicitness is explicit, implicit or None.
    """

    id: str
    template: str
    options: tuple[str, str]
    values: tuple[str | None, str | None]
    domain: str
    scope: str
    split: str
    contrast: str
    explicitness: str | None
    where: str


def read_probes(path: str | Path) -> list[ChoiceProbe]:
    """Reads choice probes in the form with `template` and `values`, or in the older one.

    The older form has a `question` that names the two options, `target` (the index of the option
    that stands for the value) and `value`. It becomes the newer one: of the two options in the
    question the first turns into {a}, the second into {b}. Without `contrast`, a probe with a
    value on both sides is "values", with one on one side "neutral". Unknown fields are errors: a
    mistyped `split` or `scope` would change what the probe is counted for.
    """
    probes = [_probe(record, where) for where, record in read_json_records(path)]
    first_with_id: dict[str, str] = {}
    for probe in probes:
        if probe.id in first_with_id:
            earlier = first_with_id[probe.id]
            fail(probe.where, f"field 'id' is {probe.id!r} as at {earlier}; expected a new id")
        first_with_id[probe.id] = probe.where
    return probes


def _probe(record: dict[str, Any], where: str) -> ChoiceProbe:
    record = {field: value for field, value in record.items() if value is not None}
    one_of(record, "kind", ("choice",), where)
    options = _options(record, where)
    if "question" in record:
        refuse_unknown(record, OLDER_PROBE_FIELDS, where)
        template = _template_of_question(text(record, "question", where), options, where)
        values = _values_of_target(record, where)
    else:
        refuse_unknown(record, PROBE_FIELDS, where)
        template = text(record, "template", where)
        values = _values(record, where)
    _check_template(template, "question" if "question" in record else "template", where)
    return ChoiceProbe(
        id=text(record, "id", where),
        template=template,
        options=options,
        values=values,
        domain=text(record, "domain", where),
        scope=one_of({"scope": SCOPES[0], **record}, "scope", SCOPES, where),
        split=one_of({"split": SPLITS[0], **record}, "split", SPLITS, where),
        contrast=_contrast(record, values, where),
        explicitness=(
            one_of(record, "explicitness", EXPLICITNESS, where)
            if "explicitness" in record
            else None
        ),
        where=where,
    )


def _options(record: dict[str, Any], where: str) -> tuple[str, str]:
    options = present(record, "options", where, "a list of two strings")
    if not isinstance(options, list) or len(options) != 2:
        fail(where, f"field 'options' is {kind(options)}; expected a list of two strings")
    for index, option in enumerate(options):
        name = f"options[{index}]"
        if not isinstance(option, str) or not option or option != option.strip():
            # The scorer puts one space before the option; a second one would be other tokens.
            shown = repr(option) if isinstance(option, str) else kind(option)
            fail(where, f"field '{name}' is {shown}; expected text without spaces around it")
        if re.search("[{}]", option):
            fail(where, f"field '{name}' is {option!r}; expected an option without braces")
    if options[0].casefold().split() == options[1].casefold().split():
        fail(where, f"field 'options' has {options[0]!r} twice; expected two different options")
    return options[0], options[1]


def _values(record: dict[str, Any], where: str) -> tuple[str | None, str | None]:
    expected = "a list of two: the value that each option stands for, null for neither"
    values = present(record, "values", where, expected)
    if not isinstance(values, list) or len(values) != 2:
        fail(where, f"field 'values' is {kind(values)}; expected {expected}")
    for index, value in enumerate(values):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            fail(where, f"field 'values[{index}]' is {kind(value)}; expected a name or null")
    if values[0] == values[1]:
        shown = json.dumps(values[0])
        fail(where, f"field 'values' has {shown} twice; expected two values, or one and null")
    return values[0], values[1]


def _values_of_target(record: dict[str, Any], where: str) -> tuple[str | None, str | None]:
    target = present(record, "target", where, "0 or 1")
    if isinstance(target, bool) or target not in (0, 1) or not isinstance(target, int):
        shown = target if isinstance(target, int | float) else kind(target)
        fail(where, f"field 'target' is {shown}; expected 0 or 1, the index of an option")
    value = text(record, "value", where)
    return (value, None) if target == 0 else (None, value)


def _template_of_question(question: str, options: tuple[str, str], where: str) -> str:
    """Puts {a} and {b} for the options, in the order in which the question names them."""
    # The longer one first: "blue cheese" may contain the other option, "cheese".
    longer, shorter = sorted(options, key=len, reverse=True)
    for option in options:
        if option not in question:
            fail(where, f"field 'question' does not name the option {option!r}; expected it once")
    parts = question.split(longer)
    if len(parts) != 2 or sum(part.count(shorter) for part in parts) != 1:
        fail(where, "field 'question' does not name each option exactly once; expected it once")
    before, after = parts
    if shorter in before:
        return before.replace(shorter, "{a}") + "{b}" + after
    return before + "{a}" + after.replace(shorter, "{b}")


def _check_template(template: str, field: str, where: str) -> None:
    names = re.findall(r"{[^{}]*}|[{}]", template)
    for name in ("{a}", "{b}"):
        if names.count(name) != 1:
            found = "no" if name not in names else "more than one"
            fail(where, f"field {field!r} has {found} {name}; expected one {{a}} and one {{b}}")
    for name in names:
        if name not in ("{a}", "{b}"):
            fail(where, f"field {field!r} has {name}; expected no braces but {{a}} and {{b}}")
    if template.index("{b}") < template.index("{a}"):
        fail(
            where,
            "field 'template' names {b} before {a}; expected {a} first, both orders are asked",
        )


def _contrast(record: dict[str, Any], values: tuple[str | None, str | None], where: str) -> str:
    by_values = "neutral" if None in values else "values"
    contrast = one_of({"contrast": by_values, **record}, "contrast", CONTRASTS, where)
    if contrast not in (by_values, "format"):
        count = "one value is" if by_values == "neutral" else "two values are"
        fail(where, f"field 'contrast' is {contrast!r} but {count} given; expected {by_values!r}")
    return contrast
