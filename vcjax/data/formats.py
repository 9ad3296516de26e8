"""Reads the texts that stages train on: rationale documents and demonstrations.

A path may be a file or a folder of any kind that tables.py reads. The first record of a wrong
format raises an InputError with its place, the field and what was expected; no record is skipped.
A null in an optional field means that the field is not given.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcjax.data.conversations import messages_of, shape_of, tools_of
from vcjax.data.fields import Fields, Text, checked, fail, kind
from vcjax.data.tables import Record, read_records

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
    and any other). where: its place, "file.jsonl:3", or the name of what wrote it.
    """

    text: str
    domain: str
    provenance: dict[str, str]
    where: str


@dataclass(frozen=True)
class Demonstration:
    """One conversation that a behavior stage trains on.

    messages: dicts with "role" (system, user, assistant or tool) and "content". The assistant's may
    have "reasoning", and "tool_calls": [{"type": "function", "function": {"name", "arguments":
    dict}, "id"?}], in which case content may be "". A tool's may have "name" and "tool_call_id".
    tools: JSON schemas of the functions that could be called. provenance: the record's other
    fields, as source, domain and id.
    """

    messages: tuple[dict, ...]
    provenance: dict[str, str]
    where: str
    tools: tuple[dict, ...] = ()


def read_documents(path: str | Path) -> list[Document]:
    """Reads rationale documents: {"text": str, "domain"?: str} and provenance.

    All other fields become provenance. In JSON they must be strings; the columns of a table may
    have any type and become JSON text. A text that is still inside its generator's <scratchpad> or
    <content> is an error.
    """
    return [_document(record) for record in read_records(path)]


def read_demonstrations(path: str | Path) -> list[Demonstration]:
    """Reads demonstrations in any shape that conversations.py knows; provenance as above.

    Each needs a turn of the assistant: nothing else is trained on.
    """
    return [_demonstration(record) for record in read_records(path)]


def _document(record: Record) -> Document:
    where, fields, _ = record
    if "text" not in fields:
        names = ", ".join(fields) or "no fields"
        fail(where, f"field 'text' is missing; expected a document's text, the record has {names}")
    document = checked(_Document, fields, where)
    if WRAPPER.search(document.text):
        fail(
            where,
            "field 'text' is still in its generator's <scratchpad> or <content>; expected the "
            "document alone",
        )
    return Document(
        text=document.text,
        domain=document.domain or "",
        provenance=_provenance(record, {"text", "domain"}),
        where=where,
    )


def _demonstration(record: Record) -> Demonstration:
    where, fields, _ = record
    shape = shape_of(fields, where)
    return Demonstration(
        messages=messages_of(fields, shape, where),
        provenance=_provenance(record, {*shape, "tools"}),
        where=where,
        tools=tools_of(fields, where),
    )


def _provenance(record: Record, own_fields: set[str]) -> dict[str, str]:
    provenance = {}
    for field, value in record.fields.items():
        if field in own_fields or value is None:
            continue
        if record.is_row and not isinstance(value, str):
            value = _as_json(field, value, record.where)
        if not isinstance(value, str):
            problem = f"field {field!r} is {kind(value)}; expected a string, as provenance is"
            fail(record.where, problem)
        provenance[field] = value
    return provenance


def _as_json(field: str, value: Any, where: str) -> str:
    def plain(leaf: Any) -> str:
        if isinstance(leaf, bytes):
            fail(where, f"field {field!r} holds bytes; expected text or numbers, drop the column")
        return str(leaf)  # dates, durations, decimals

    return json.dumps(value, ensure_ascii=False, default=plain)
