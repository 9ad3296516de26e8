"""The JSON Lines files that come in: rationale documents, demonstrations and probes.

One JSON object a line, UTF-8. A line that breaks its format stops the read with an InputError
that names file, line and field and says what was expected; nothing is skipped silently. JSON's
null in an optional field means that the field is not given.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from vcjax.errors import InputError

ROLES = ("system", "user", "assistant", "tool")
SCOPES = ("out_of_domain", "in_domain")  # the first is the default, here and below
SPLITS = ("held_out", "development")
CONTRASTS = ("values", "neutral", "format")
EXPLICITNESS = ("explicit", "implicit")

LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # json.loads joins those that are pairs

_SHARED_PROBE_FIELDS = {
    "kind", "id", "options", "domain", "scope", "split", "contrast", "explicitness",
}  # fmt: skip
PROBE_FIELDS = _SHARED_PROBE_FIELDS | {"template", "values"}
OLDER_PROBE_FIELDS = _SHARED_PROBE_FIELDS | {"question", "target", "value"}


@dataclass(frozen=True)
class Document:
    """One text that a rationale stage trains on.

    provenance holds the optional fields that were present (spec, value, subdomain, assertion,
    doc_type, explanation, generator, id, and any further field of the file whose value is a
    string). where names the place it came from: "file.jsonl:3", or the writer's name.
    """

    text: str
    domain: str
    provenance: dict[str, str]
    where: str


@dataclass(frozen=True)
class Demonstration:
    """One conversation that a behavior stage trains on.

    A message has "role" (system, user, assistant or tool), "content" and, in an assistant turn,
    perhaps "reasoning". provenance holds source, domain, id and further string fields.
    """

    messages: tuple[dict, ...]
    provenance: dict[str, str]
    where: str


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


def read_documents(path: str | Path) -> list[Document]:
    """Reads rationale documents: {"text": str, "domain": str} and provenance.

    Every further field is kept as provenance and must be a string, so that it can be grouped by
    and shown later; a number, list or object is an error.
    """
    return [
        Document(
            text=_text(record, "text", where),
            domain=_text(record, "domain", where),
            provenance=_provenance(record, {"text", "domain"}, where),
            where=where,
        )
        for where, record in _records(path)
    ]


def read_demonstrations(path: str | Path) -> list[Demonstration]:
    """Reads demonstrations: {"messages": [{"role", "content", "reasoning"?}, ...]}, provenance.

    At least one message must be the assistant's: nothing else is trained on. Further fields of
    the record are provenance, as for documents; further fields of a message are an error, because
    a chat template could not see them.
    """
    return [
        Demonstration(
            messages=_messages(record, where),
            provenance=_provenance(record, {"messages"}, where),
            where=where,
        )
        for where, record in _records(path)
    ]


def read_probes(path: str | Path) -> list[ChoiceProbe]:
    """Reads choice probes in the form with `template` and `values`, or in the older one.

    The older form has a `question` that names the two options, `target` (the index of the option
    that stands for the value) and `value`. It becomes the newer one: of the two options in the
    question the first turns into {a}, the second into {b}. Without `contrast`, a probe with a
    value on both sides is "values", with one on one side "neutral". Unknown fields are errors: a
    mistyped `split` or `scope` would change what the probe is counted for.
    """
    probes = [_probe(record, where) for where, record in _records(path)]
    first_with_id: dict[str, str] = {}
    for probe in probes:
        if probe.id in first_with_id:
            earlier = first_with_id[probe.id]
            _fail(probe.where, f"field 'id' is {probe.id!r} as at {earlier}; expected a new id")
        first_with_id[probe.id] = probe.where
    return probes


def _records(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, JSON object) of each line."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable file") from None
    lines = content.rstrip().split(b"\n")
    if lines == [b""]:
        raise InputError(f"{path}: no records; expected one JSON object a line")
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        yield where, _parse(line, where)


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        _fail(where, f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8")
    try:
        record = json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, where))
    except RecursionError:
        _fail(where, "brackets nested too deeply; expected one JSON object")
    except ValueError as error:
        _fail(where, f"not valid JSON ({error}); expected one JSON object on the line")
    if not isinstance(record, dict):
        _fail(where, f"{_kind(record)}; expected a JSON object")
    return record


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """A JSON object as a dict; of a repeated field json.loads alone would keep the last silently.

    Strings are looked at here, where nested ones pass too: a lone surrogate (half of an escaped
    pair) is valid JSON but no text.
    """
    record = dict(pairs)
    for field, value in pairs:
        for text in (field, *(value if isinstance(value, list) else [value])):
            if isinstance(text, str) and LONE_SURROGATE.search(text):
                _fail(where, f"field {field!r} has half of a surrogate pair; expected text")
    if len(record) < len(pairs):
        repeated = next(field for field, _ in pairs if [f for f, _ in pairs].count(field) > 1)
        _fail(where, f"field {repeated!r} occurs twice; expected each field once")
    return record


def _messages(record: dict[str, Any], where: str) -> tuple[dict, ...]:
    messages = _present(record, "messages", where, "a list of messages")
    if not isinstance(messages, list) or not messages:
        _fail(where, f"field 'messages' is {_kind(messages)}; expected a list of messages")
    checked = tuple(
        _message(message, f"messages[{index}]", where) for index, message in enumerate(messages)
    )
    if all(message["role"] != "assistant" for message in checked):
        _fail(where, "field 'messages' has no assistant turn; expected one, it is what is trained")
    return checked


def _message(message: Any, name: str, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        _fail(where, f"field '{name}' is {_kind(message)}; expected a JSON object")
    given = {field: value for field, value in message.items() if value is not None}
    _refuse_unknown(given, {"role", "content", "reasoning"}, where, name + ".")
    role = _one_of(given, "role", ROLES, where, name + ".")
    if role == "assistant":
        _text(given, "content", where, name + ".")
        if "reasoning" in given:
            _text(given, "reasoning", where, name + ".")
    elif "reasoning" in given:
        _fail(where, f"field '{name}.reasoning' stands in a turn of {role!r}; remove it")
    elif not isinstance(_present(given, "content", where, "a string", name + "."), str):
        _fail(where, f"field '{name}.content' is {_kind(given['content'])}; expected a string")
    return given


def _probe(record: dict[str, Any], where: str) -> ChoiceProbe:
    record = {field: value for field, value in record.items() if value is not None}
    _one_of(record, "kind", ("choice",), where)
    options = _options(record, where)
    if "question" in record:
        _refuse_unknown(record, OLDER_PROBE_FIELDS, where)
        template = _template_of_question(_text(record, "question", where), options, where)
        values = _values_of_target(record, where)
    else:
        _refuse_unknown(record, PROBE_FIELDS, where)
        template = _text(record, "template", where)
        values = _values(record, where)
    _check_template(template, "question" if "question" in record else "template", where)
    return ChoiceProbe(
        id=_text(record, "id", where),
        template=template,
        options=options,
        values=values,
        domain=_text(record, "domain", where),
        scope=_one_of({"scope": SCOPES[0], **record}, "scope", SCOPES, where),
        split=_one_of({"split": SPLITS[0], **record}, "split", SPLITS, where),
        contrast=_contrast(record, values, where),
        explicitness=(
            _one_of(record, "explicitness", EXPLICITNESS, where)
            if "explicitness" in record
            else None
        ),
        where=where,
    )


def _options(record: dict[str, Any], where: str) -> tuple[str, str]:
    options = _present(record, "options", where, "a list of two strings")
    if not isinstance(options, list) or len(options) != 2:
        _fail(where, f"field 'options' is {_kind(options)}; expected a list of two strings")
    for index, option in enumerate(options):
        name = f"options[{index}]"
        if not isinstance(option, str) or not option or option != option.strip():
            # The scorer puts one space before the option; a second one would be other tokens.
            shown = repr(option) if isinstance(option, str) else _kind(option)
            _fail(where, f"field '{name}' is {shown}; expected text without spaces around it")
        if re.search("[{}]", option):
            _fail(where, f"field '{name}' is {option!r}; expected an option without braces")
    if options[0].casefold() == options[1].casefold():
        _fail(where, f"field 'options' has {options[0]!r} twice; expected two different options")
    return options[0], options[1]


def _values(record: dict[str, Any], where: str) -> tuple[str | None, str | None]:
    expected = "a list of two: the value that each option stands for, null for neither"
    values = _present(record, "values", where, expected)
    if not isinstance(values, list) or len(values) != 2:
        _fail(where, f"field 'values' is {_kind(values)}; expected {expected}")
    for index, value in enumerate(values):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            _fail(where, f"field 'values[{index}]' is {_kind(value)}; expected a name or null")
    if values[0] == values[1]:
        shown = json.dumps(values[0])
        _fail(where, f"field 'values' has {shown} twice; expected two values, or one and null")
    return values[0], values[1]


def _values_of_target(record: dict[str, Any], where: str) -> tuple[str | None, str | None]:
    target = _present(record, "target", where, "0 or 1")
    if isinstance(target, bool) or target not in (0, 1) or not isinstance(target, int):
        shown = target if isinstance(target, int | float) else _kind(target)
        _fail(where, f"field 'target' is {shown}; expected 0 or 1, the index of an option")
    value = _text(record, "value", where)
    return (value, None) if target == 0 else (None, value)


def _template_of_question(question: str, options: tuple[str, str], where: str) -> str:
    """Puts {a} and {b} for the options, in the order in which the question names them."""
    # The longer one first: "blue cheese" may contain the other option, "cheese".
    longer, shorter = sorted(options, key=len, reverse=True)
    for option in options:
        if option not in question:
            _fail(where, f"field 'question' does not name the option {option!r}; expected it once")
    parts = question.split(longer)
    if len(parts) != 2 or sum(part.count(shorter) for part in parts) != 1:
        _fail(where, "field 'question' does not name each option exactly once; expected it once")
    before, after = parts
    if shorter in before:
        return before.replace(shorter, "{a}") + "{b}" + after
    return before + "{a}" + after.replace(shorter, "{b}")


def _check_template(template: str, field: str, where: str) -> None:
    names = re.findall(r"{[^{}]*}|[{}]", template)
    for name in ("{a}", "{b}"):
        if names.count(name) != 1:
            found = "no" if name not in names else "more than one"
            _fail(where, f"field {field!r} has {found} {name}; expected one {{a}} and one {{b}}")
    for name in names:
        if name not in ("{a}", "{b}"):
            _fail(where, f"field {field!r} has {name}; expected no braces but {{a}} and {{b}}")
    if template.index("{b}") < template.index("{a}"):
        _fail(
            where,
            "field 'template' names {b} before {a}; expected {a} first, both orders are asked",
        )


def _contrast(record: dict[str, Any], values: tuple[str | None, str | None], where: str) -> str:
    by_values = "neutral" if None in values else "values"
    contrast = _one_of({"contrast": by_values, **record}, "contrast", CONTRASTS, where)
    if contrast not in (by_values, "format"):
        count = "one value is" if by_values == "neutral" else "two values are"
        _fail(where, f"field 'contrast' is {contrast!r} but {count} given; expected {by_values!r}")
    return contrast


def _provenance(record: dict[str, Any], own_fields: set[str], where: str) -> dict[str, str]:
    provenance = {}
    for field, value in record.items():
        if field in own_fields or value is None:
            continue
        if not isinstance(value, str):
            _fail(where, f"field {field!r} is {_kind(value)}; expected a string, as provenance is")
        provenance[field] = value
    return provenance


def _present(
    record: dict[str, Any], field: str, where: str, expected: str, prefix: str = ""
) -> Any:
    if field not in record:
        _fail(where, f"field '{prefix}{field}' is missing; expected {expected}")
    return record[field]


def _text(record: dict[str, Any], field: str, where: str, prefix: str = "") -> str:
    """A string that is not blank."""
    value = _present(record, field, where, "a string", prefix)
    if not isinstance(value, str):
        _fail(where, f"field '{prefix}{field}' is {_kind(value)}; expected a string")
    if not value.strip():
        _fail(where, f"field '{prefix}{field}' is blank; expected text")
    return value


def _one_of(
    record: dict[str, Any], field: str, allowed: Sequence[str], where: str, prefix: str = ""
) -> str:
    expected = " or ".join(repr(name) for name in allowed)
    value = _present(record, field, where, expected, prefix)
    if value not in allowed:
        shown = repr(value) if isinstance(value, str) else _kind(value)
        _fail(where, f"field '{prefix}{field}' is {shown}; expected {expected}")
    return value


def _refuse_unknown(record: dict[str, Any], known: set[str], where: str, prefix: str = "") -> None:
    for field in record:
        if field not in known:
            near = get_close_matches(field, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(sorted(known))}"
            _fail(where, f"field '{prefix}{field}' is unknown; {hint}")


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {str: "a string", int: "a number", float: "a number", dict: "an object"}
    return names[type(value)]


def _fail(where: str, problem: str) -> NoReturn:
    raise InputError(f"{where}: {problem}")
