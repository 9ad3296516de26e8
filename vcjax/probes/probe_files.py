"""Probe files: the questions that measure what a model came to value.

JSON, one probe a line or a list of them, all of one kind, or a text. The first probe of a wrong
format raises an InputError with file, line and field. A null in an optional field means that the
field is not given.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vcjax.data.fields import fail, kind
from vcjax.data.json_files import read_json_records
from vcjax.errors import InputError, hint
from vcjax.probes import open_question, paired, perplexity, refusal
from vcjax.probes.open_question import OpenProbe
from vcjax.probes.paired import PairedProbe
from vcjax.probes.refusal import RefusalProbe

Probe = PairedProbe | OpenProbe | RefusalProbe

# Kind -> what reads one of its records.
RECORDS: dict[str, Callable[[dict[str, Any], str], Probe]] = {
    "choice": paired.parse,
    "said": paired.parse,
    "open": open_question.parse,
    "refusal": refusal.parse,
}
# What the names of probe files end in.
QUESTIONS, TEXTS = (".jsonl", ".ndjson", ".json"), (".txt",)


@dataclasses.dataclass(frozen=True)
class ProbeFile:
    """The probes of a file. kind: choice, said, open, refusal or text."""

    sha256: str
    kind: str
    probes: list[Any]  # of that kind


Probes = dict[str, ProbeFile]  # by the names of files


def read(paths: Iterable[Path]) -> Probes:
    """Reads probe files. Raises InputError for a file that cannot be used, for two files of one
    name, and for a domain that is spelled in two ways or belongs to two splits."""
    files: Probes = {}
    for path in paths:
        if path.name in files:
            raise InputError(f"{path}: a second probe file of this name; rename one of them")
        files[path.name] = read_file(path)
    first_of_domain: dict[str, Probe] = {}
    for probe in questions(files):
        first = first_of_domain.setdefault(probe.domain.casefold(), probe)
        if probe.domain != first.domain:
            raise InputError(
                f"{probe.where}: the domain {probe.domain!r} is spelled {first.domain!r} at "
                f"{first.where}; intervals count domains, so give each one spelling"
            )
        if probe.split != first.split:
            raise InputError(
                f"{probe.where}: the domain {probe.domain!r} is {probe.split} here and "
                f"{first.split} at {first.where}; a domain belongs to one split"
            )
    return files


def read_file(path: Path) -> ProbeFile:
    """Reads one file: questions, or from a .txt file a text."""
    suffix = path.suffix.lower()
    if suffix not in (*QUESTIONS, *TEXTS):
        raise InputError(
            f"{path}: no probe file by its name; questions are read from {', '.join(QUESTIONS)}, "
            f"and a text whose perplexity is measured from {', '.join(TEXTS)}"
        )
    kind, probes = ("text", [perplexity.read_text(path)]) if suffix in TEXTS else _questions(path)
    return ProbeFile(hashlib.sha256(path.read_bytes()).hexdigest(), kind, probes)


def of_kind(files: Probes, kind: str) -> Probes:
    """The files of this kind."""
    return {name: file for name, file in files.items() if file.kind == kind}


def questions(files: Probes, *kinds: str) -> Iterator[Any]:
    """The questions of all files, or of those of these kinds."""
    for file in files.values():
        if file.kind in (kinds or RECORDS):
            yield from file.probes


def sha256_of(files: Probes) -> dict[str, str]:
    """File name -> sha256."""
    return {name: file.sha256 for name, file in files.items()}


def check(files: Probes, config: ConfigDict) -> None:
    """Raises InputError where config.exclude has an unknown id, and where no probe measures the
    primary contrast."""
    known = sorted({probe.id for probe in questions(files)})
    for name in config.exclude:
        if name not in known:
            raise InputError(f"config.exclude: there is no probe {name!r}; {hint(name, known)}")
    values = {
        value
        for probe in questions(files, "choice")
        for value in probe.values
        if (probe.contrast, probe.scope, probe.split)
        == (config.primary_probes, "out_of_domain", "held_out")
        and probe.id not in config.exclude
    }
    if config.toward not in values:
        against = {"values": "another value", "neutral": "an option with neither value"}
        others = hint(config.toward, sorted(filter(None, values)))
        raise InputError(
            f"config.toward: no held-out probe outside the training domain sets {config.toward!r} "
            f"against {against[config.primary_probes]} (config.primary_probes is "
            f"{config.primary_probes!r}), so the primary contrast would have no answer; "
            f"{others if values else 'no such probe does for any value'}"
        )


def _questions(path: Path) -> tuple[str, list[Probe]]:
    """The kind of a file's probes, and the probes."""
    probes: list[Probe] = []
    first_with_id: dict[str, str] = {}
    first_kind = None
    for where, given in read_json_records(path):
        record = {field: value for field, value in given.items() if value is not None}
        of_kind = _kind(record, where)
        first_kind = first_kind or of_kind
        if of_kind != first_kind:
            fail(where, f"field 'kind' is {of_kind!r}; the others of this file are {first_kind!r}")
        probe = RECORDS[of_kind](record, where)
        if probe.id in first_with_id:
            earlier = first_with_id[probe.id]
            fail(where, f"field 'id' is {probe.id!r} as at {earlier}; expected a new id")
        first_with_id[probe.id] = where
        probes.append(probe)
    assert first_kind is not None  # a file has records
    return first_kind, probes


def _kind(record: dict[str, Any], where: str) -> str:
    expected = " or ".join(map(repr, RECORDS))
    if "kind" not in record:
        fail(where, f"field 'kind' is missing; expected {expected}")
    if record["kind"] not in [*RECORDS]:
        given = record["kind"]
        shown = repr(given) if isinstance(given, str) else kind(given)
        fail(where, f"field 'kind' is {shown}; expected {expected}")
    return str(record["kind"])
