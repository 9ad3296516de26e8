"""JSON files, read strictly: UTF-8, each field once, whole characters, finite numbers."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcjax.data.fields import fail, kind
from vcjax.errors import InputError

LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # json.loads joins those that are pairs


def read_json_records(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (place, object) of each line, or of each item where a .json file holds a list.

    Places are "file.jsonl:3", counted from 1 as editors do, and "file.json:item 2", counted from 0
    as Python does. The first thing that cannot be used stops the read with an InputError.
    """
    try:
        content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")  # a byte order mark
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable file") from None
    is_list = Path(path).suffix.lower() == ".json" and content.lstrip().startswith(b"[")
    entries = parse_json(content, str(path)) if is_list else content.rstrip().split(b"\n")
    if not entries or entries == [b""]:
        raise InputError(f"{path}: no records; expected one JSON object a line")
    for index, entry in enumerate(entries):
        where = f"{path}:item {index}" if is_list else f"{path}:{index + 1}"
        record = entry if is_list else parse_json(entry, where)
        if not isinstance(record, dict):
            fail(where, f"{kind(record)}; expected a JSON object")
        yield where, record


def parse_json(content: bytes | str, where: str) -> Any:
    """The value; where names it in errors."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError as error:
        fail(where, f"byte {error.start + 1} is not UTF-8; save the file as UTF-8")
    try:
        value = _STRICT.decode(text)
    except RecursionError:
        fail(where, "brackets nested too deeply; expected one JSON object")
    except _RepeatedField as error:
        fail(where, f"field {error.args[0]!r} occurs twice; expected each field once")
    except _NotFinite:
        fail(where, fault(json.loads(text)))
    except ValueError as error:
        fail(where, f"not valid JSON ({error}); expected one JSON object")
    # Valid JSON may escape half of a pair, which is no text and cannot be encoded.
    if "\\u" in text and (problem := fault(value)):
        fail(where, problem)
    return value


def fault(value: Any, path: str = "") -> str:
    """Why a value cannot be written as JSON, as "field 'a.b[0]' is NaN"; "" if it can be.

    path: the place of the value itself.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inside = f"{path}.{key}" if path else key
            if problem := fault(key, inside) or fault(item, inside):
                return problem
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if problem := fault(item, f"{path}[{index}]"):
                return problem
    elif problem := _fault_of_leaf(value):
        return f"field {path!r} {problem}" if path else problem
    return ""


def _fault_of_leaf(value: Any) -> str:
    if isinstance(value, str):
        is_half = LONE_SURROGATE.search(value)
        return "has half of a surrogate pair; expected text" if is_half else ""
    if isinstance(value, float) and not math.isfinite(value):
        shown = "NaN" if math.isnan(value) else "Infinity, or too large"
        return f"is {shown}; expected a finite number, null or text"
    if value is None or isinstance(value, int | float):
        return ""
    return f"is {kind(value)}; expected text, a number, true, false or null"  # of a table


class _RepeatedField(ValueError):
    """json.loads alone would keep the last of them without a word."""


class _NotFinite(ValueError):
    """A number that JSON does not have, NaN or Infinity, or one too large for a float."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        fields = [field for field, _ in pairs]
        raise _RepeatedField(next(field for field in fields if fields.count(field) > 1))
    return record


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _NotFinite
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
