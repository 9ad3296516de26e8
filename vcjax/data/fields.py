"""What the fields of a record must be, and how an error says that one is not.

where: the record's place. prefix: the path to the object inside it, as "messages[0].".
"""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, NoReturn

from vcjax.errors import InputError


def present(record: dict[str, Any], field: str, where: str, expected: str, prefix: str = "") -> Any:
    if field not in record:
        fail(where, f"field '{prefix}{field}' is missing; expected {expected}")
    return record[field]


def text(record: dict[str, Any], field: str, where: str, prefix: str = "") -> str:
    """A string that is not blank."""
    value = string(record, field, where, prefix)
    if not value.strip():
        fail(where, f"field '{prefix}{field}' is blank; expected text")
    return value


def string(record: dict[str, Any], field: str, where: str, prefix: str = "") -> str:
    value = present(record, field, where, "a string", prefix)
    if not isinstance(value, str):
        fail(where, f"field '{prefix}{field}' is {kind(value)}; expected a string")
    return value


def one_of(
    record: dict[str, Any], field: str, allowed: Collection[str], where: str, prefix: str = ""
) -> str:
    expected = " or ".join(repr(name) for name in allowed)
    value = present(record, field, where, expected, prefix)
    if not isinstance(value, str) or value not in allowed:
        shown = repr(value) if isinstance(value, str) else kind(value)
        fail(where, f"field '{prefix}{field}' is {shown}; expected {expected}")
    return value


def refuse_unknown(record: dict[str, Any], known: set[str], where: str, prefix: str = "") -> None:
    for field in record:
        if field not in known:
            near = get_close_matches(field, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(sorted(known))}"
            fail(where, f"field '{prefix}{field}' is unknown; {hint}")


def kind(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {str: "a string", int: "a number", float: "a number", dict: "an object"}
    return names.get(type(value), type(value).__name__)  # a table also holds bytes and dates


def fail(where: str, problem: str) -> NoReturn:
    raise InputError(f"{where}: {problem}")
