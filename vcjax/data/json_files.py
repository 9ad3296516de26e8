"""JSON files, read strictly: UTF-8, each field once, text that is text."""

import json
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
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable file") from None
    is_list = Path(path).suffix == ".json" and content.lstrip().startswith(b"[")
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
        return json.loads(text, object_pairs_hook=lambda pairs: _object(pairs, where))
    except RecursionError:
        fail(where, "brackets nested too deeply; expected one JSON object")
    except ValueError as error:
        fail(where, f"not valid JSON ({error}); expected one JSON object")


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """A JSON object as a dict; of a repeated field json.loads alone would keep the last silently.

    Strings are looked at here, where nested ones pass too: a lone surrogate (half of an escaped
    pair) is valid JSON but no text.
    """
    record = dict(pairs)
    for field, value in pairs:
        for text in (field, *(value if isinstance(value, list) else [value])):
            if isinstance(text, str) and LONE_SURROGATE.search(text):
                fail(where, f"field {field!r} has half of a surrogate pair; expected text")
    if len(record) < len(pairs):
        repeated = next(field for field, _ in pairs if [f for f, _ in pairs].count(field) > 1)
        fail(where, f"field {repeated!r} occurs twice; expected each field once")
    return record
