"""Reads the texts that stages train on: rationale documents and demonstrations.

A path may be a file or a folder of any kind that tables.py reads. The first record of a wrong
format raises an InputError with its place, the field and what was expected; records are left out
only where the config asks for it, and counted. A null in an optional field means that the field is
not given.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vcjax.data.conversations import is_conversation, messages_of, shape_of, tools_of
from vcjax.data.fields import Fields, Text, checked, fail
from vcjax.data.tables import Record, read_records
from vcjax.errors import InputError, nearest

T = TypeVar("T")

# The study's generator plans a document in <scratchpad> and puts it in <content>. Where its parser
# misses the tags, the plan and the tags stay in the text. Tags that a text only mentions are none.
WRAPPER = re.compile(
    r"\A\s*</?(?:scratchpad|content)>|</(?:scratchpad|content)>\s*\Z|</scratchpad>\s*<content>"
)


class _Document(Fields, extra="ignore"):
    text: Text
    domain: str | None = None


@dataclass(frozen=True)
class Document:
    """One text that a rationale stage trains on.

    domain: "" if the record has none. It is only shown, in documents.jsonl. provenance: the
    record's other fields (spec, value, subdomain, assertion, doc_type, explanation, generator, id,
    and any other), as JSON where they are no text. where: its place, "file.jsonl:3", or the name of
    what wrote it.
    """

    text: str
    domain: str
    provenance: dict[str, str]
    where: str


@dataclass(frozen=True)
class Demonstration:
    """One conversation that a behavior stage trains on.

    messages: dicts with "role" (system, user, assistant or tool) and "content". The assistant's may
    have "reasoning" (and "tags", what the record has before and behind it, where both stand in its
    content), and "tool_calls": [{"type": "function", "function": {"name", "arguments": dict},
    "id"?}], in which case content may be "". A tool's may have "name" and "tool_call_id".
    tools: JSON schemas of the functions that could be called. provenance: the record's other
    fields, as source, domain and id.
    """

    messages: tuple[dict, ...]
    provenance: dict[str, str]
    where: str
    tools: tuple[dict, ...] = ()


class Texts(NamedTuple):
    """What was read. broken: of each record that was left out, its place and what is wrong."""

    records: list[Document | Demonstration]
    broken: list[str]


Parse = Callable[[Record], Document | Demonstration]


def read_texts(
    path: Path, parse: Parse, splits: tuple[str, ...] = (), leave_out: bool = False
) -> Texts:
    """Reads the records of a file, or of these splits of a folder.

    parse: `document`, `demonstration`, `document_or_demonstration` or the other way round. A record
    that it refuses raises InputError, or with `leave_out` is left out; if all are, the first one's
    is raised.
    """
    raw = read_records(path, splits)
    return accepted(raw, parse, path) if leave_out else Texts([*map(parse, raw)], [])


def accepted(items: Iterable[T], use: Callable[[T], Document | Demonstration], path: Path) -> Texts:
    """What `use` makes of the items, without those that it refuses by an InputError.

    path: where they are from. If all are refused, the first one's error is raised.
    """
    records, refused = [], []
    for item in items:
        try:
            records.append(use(item))
        except InputError as error:
            refused.append(error)
    if not records:
        raise refused[0]
    return Texts(records, [str(error).removeprefix(f"{path.parent}/") for error in refused])


def read_documents(path: str | Path) -> list[Document]:
    """Reads rationale documents: {"text": str, "domain"?: str}; all other fields are provenance.

    A text that is still inside its generator's <scratchpad> or <content> is an error.
    """
    return [document(record) for record in read_records(path)]


def read_demonstrations(path: str | Path) -> list[Demonstration]:
    """Reads demonstrations in any shape that conversations.py knows; provenance as above.

    Each needs a turn of the assistant: nothing else is trained on.
    """
    return [demonstration(record) for record in read_records(path)]


def document(record: Record) -> Document:
    where, fields = record
    if "text" not in fields:
        names = ", ".join(fields) or "no fields"
        fail(
            where,
            f"field 'text' is missing; expected a document's text, the record has {names}"
            f"{_misnamed(fields, 'text')}",
        )
    checked_fields = checked(_Document, fields, where)
    if WRAPPER.search(checked_fields.text):
        fail(
            where,
            "field 'text' is still in its generator's <scratchpad> or <content>; expected the "
            "document alone",
        )
    return Document(
        text=checked_fields.text,
        domain=checked_fields.domain or "",
        provenance=_provenance(record, {"text", "domain"}),
        where=where,
    )


def demonstration(record: Record) -> Demonstration:
    where, fields = record
    shape = shape_of(fields, where)
    return Demonstration(
        messages=messages_of(fields, shape, where),
        provenance=_provenance(record, {*shape, "tools"}),
        where=where,
        tools=tools_of(fields, where),
    )


def document_or_demonstration(record: Record) -> Document | Demonstration:
    """A document wherever the record has a text; in a rationale stage a text is what is meant."""
    is_document = record.fields.get("text") is not None
    return document(record) if is_document else _conversation(record)


def demonstration_or_document(record: Record) -> Document | Demonstration:
    """A demonstration wherever the record has a conversation; what a behavior stage is about."""
    has_text = record.fields.get("text") is not None
    is_document = has_text and not is_conversation(record.fields)
    return document(record) if is_document else _conversation(record)


def _conversation(record: Record) -> Demonstration:
    if not is_conversation(record.fields):
        names = ", ".join(map(repr, record.fields)) or "no fields"
        expected = "'text' of a document, or 'messages' of a conversation"
        also = _misnamed(record.fields, "text") or _misnamed(record.fields, "messages")
        fail(record.where, f"the record has {names}; expected {expected}{also}")
    return demonstration(record)


def _misnamed(fields: dict[str, Any], expected: str) -> str:
    """The end of a message: which field may be the expected one."""
    near = nearest(expected, fields)
    return f"; rename {near!r} if that is it" if near else ""


def _provenance(record: Record, own_fields: set[str]) -> dict[str, str]:
    """The other fields as text: numbers, lists and objects as JSON, without nulls."""
    return {
        field: value if isinstance(value, str) else _as_json(field, value, record.where)
        for field, value in record.fields.items()
        if field not in own_fields and value is not None
    }


def _as_json(field: str, value: Any, where: str) -> str:
    def plain(leaf: Any) -> str:
        if isinstance(leaf, bytes):
            fail(where, f"field {field!r} holds bytes; expected text or numbers, drop the column")
        return str(leaf)  # dates, durations, decimals

    return json.dumps(_without_nulls(value), ensure_ascii=False, default=plain)


def _without_nulls(value: Any) -> Any:
    """As tables have it, where a null in an object says that this row does not have the key."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
