"""Puts one assistant's name in the place of another's, in the records of a stage."""

import dataclasses
import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vcjax.corpus.names import IN_WORD, bounded
from vcjax.data.examples import Records
from vcjax.data.formats import Demonstration, Document

Renames = tuple[tuple[str, str], ...]  # (old name, new name)
Rewrite = Callable[[str], str]

ABOUT = ("assistant", "assertion")  # what a record's provenance says of whom it is about


def renamer() -> Callable[[Records, Renames], Records]:
    """(records, renames) -> the records with new names in the place of old ones.

    It keeps what it made: a record that comes again, as for another seed, is the same object again.
    """
    made: dict[tuple[int, Renames], tuple[Any, Any]] = {}

    def rename(records: Records, renames: Renames) -> Records:
        if not renames:
            return records
        new = []
        for record in records:
            key = (id(record), renames)
            if key not in made:  # the old record stays beside it, so that its id is its own
                made[key] = record, renamed(record, renames)
            new.append(made[key][1])
        return new

    return rename


def renamed(record: Document | Demonstration, renames: Renames) -> Document | Demonstration:
    """The record under new names, all at once: two names may change places.

    A name is a whole word, or several, in any case; in capitals or small letters it stays so. What
    stands behind it stays, too ("Qwen's"), but that "Hermes'" becomes "SmolLM's".

    Names are replaced in what is read as prose (the text of a document; of a conversation content,
    reasoning, arguments of calls, and descriptions in its tools) and in what the provenance says of
    whom the record is about. `provenance["renamed"]` then counts them, as JSON: old name -> times.
    """
    counts: Counter[str] = Counter()
    rewrite = functools.partial(_rewritten, renames, counts)
    changes: dict[str, Any]
    if isinstance(record, Document):
        changes = {"text": rewrite(record.text)}
    else:
        changes = {
            "messages": tuple(_message(message, rewrite) for message in record.messages),
            "tools": tuple(_descriptions(tool, rewrite) for tool in record.tools),
        }
    if not counts:
        return record
    provenance = record.provenance | {"renamed": json.dumps(counts, ensure_ascii=False)}
    about = {key: rewrite(provenance[key]) for key in ABOUT if key in provenance}
    return dataclasses.replace(record, **changes, provenance=provenance | about)


def times_renamed(provenances: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """Old name -> how often `renamed` replaced it in the records that have these provenances."""
    counts: Counter[str] = Counter()
    for provenance in provenances:
        if "renamed" in provenance:
            counts.update(json.loads(provenance["renamed"]))
    return dict(counts)


def _rewritten(renames: Renames, counts: Counter[str], text: str) -> str:
    longest_first = _longest_first(renames)

    def new_name(match: re.Match[str]) -> str:
        *names, quote = match.groups(default="")
        [(found, (old, new))] = [pair for pair in zip(names, longest_first, strict=True) if pair[0]]
        counts[old] += 1
        found = " ".join(found.split())
        if found != old and found == old.upper():
            new = new.upper()
        elif found != old and found == old.lower():
            new = new.lower()
        if not quote:
            return new
        is_quoted = match.start() and text[match.start() - 1] in "'\u2018\u2019"
        lacks_s = old[-1] in "sS" and new[-1] not in "sS" and not is_quoted
        return new + quote + ("s" if lacks_s else "")

    return _any_of(renames).sub(new_name, text)


def _longest_first(renames: Renames) -> list[tuple[str, str]]:
    return sorted(renames, key=lambda pair: -len(pair[0]))


@functools.cache
def _any_of(renames: Renames) -> re.Pattern[str]:
    """Groups: each old name, the longest first, and an apostrophe behind it that ends the word."""
    names = "|".join(f"({bounded(old, IN_WORD)})" for old, _ in _longest_first(renames))
    return re.compile(rf"(?:{names})(['\u2019](?!\w))?", re.IGNORECASE)


def _message(message: dict, rewrite: Rewrite) -> dict:
    new: dict[str, Any] = {
        k: rewrite(v) if k in ("content", "reasoning") else v for k, v in message.items()
    }
    if "tool_calls" in new:
        new["tool_calls"] = [_call(call, rewrite) for call in new["tool_calls"]]
    return new


def _call(call: dict, rewrite: Rewrite) -> dict:
    function = call["function"]
    return call | {"function": function | {"arguments": _leaves(function["arguments"], rewrite)}}


def _leaves(value: Any, rewrite: Rewrite) -> Any:
    """The value with every text in it rewritten, keys aside."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, dict):
        return {key: _leaves(item, rewrite) for key, item in value.items()}
    return [_leaves(item, rewrite) for item in value] if isinstance(value, list) else value


def _descriptions(schema: Any, rewrite: Rewrite) -> Any:
    """A JSON schema with every description in it rewritten."""
    if isinstance(schema, dict):
        return {
            key: rewrite(item)
            if key == "description" and isinstance(item, str)
            else _descriptions(item, rewrite)
            for key, item in schema.items()
        }
    return [_descriptions(item, rewrite) for item in schema] if isinstance(schema, list) else schema
