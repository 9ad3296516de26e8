"""Probe files: the questions that measure what a model came to value.

JSON, Parquet or Arrow, one probe a record, all of one kind, or a text. The first probe of a wrong
format raises an InputError with file, line and field. A null in an optional field means that the
field is not given.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple, NoReturn

from ml_collections import ConfigDict

from vcjax.corpus import spec
from vcjax.data.fields import fail, kind
from vcjax.data.folders import READABLE, left_out
from vcjax.data.places import locate
from vcjax.data.sources import HUB, TFDS, splits_of
from vcjax.data.tables import read_records
from vcjax.errors import InputError, hint
from vcjax.probes import open_question, paired, perplexity, refusal, study_files
from vcjax.probes.open_question import OpenProbe
from vcjax.probes.paired import PairedProbe
from vcjax.probes.refusal import RefusalProbe
from vcjax.workdir import hashes

Probe = PairedProbe | OpenProbe | RefusalProbe

# Kind -> what reads one of its records.
RECORDS: dict[str, Callable[[dict[str, Any], str], Probe]] = {
    "choice": paired.parse,
    "said": paired.parse,
    "open": open_question.parse,
    "refusal": refusal.parse,
}
# What the names of probe files end in.
QUESTIONS, TEXTS = READABLE, (".txt",)


class Entry(NamedTuple):
    """A probe file as it is named. path: of a file or folder. name: under which its answers are
    kept. lead: the beginning of answers to probes that have none of their own. value, rubric: what
    the rows of a published file measure, and the text that a judge of its questions reads. splits:
    of a folder or a data set, where its source or its entry names some."""

    path: Path
    name: str
    lead: str = ""
    value: str = ""
    rubric: str = ""
    splits: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ProbeFile:
    """The probes of a file. kind: choice, said, open, refusal or text."""

    sha256: str
    kind: str
    probes: list[Any]  # of that kind


Probes = dict[str, ProbeFile]  # by the names of files


def entry(given: Mapping[str, Any], folder: Path, names: dict[str, str]) -> Entry:
    """What `config.probe_file` returns, with its texts read. folder: where paths start; names: of
    the model, for the variables of a spec."""
    path = locate(given["path"], folder)
    rubric = ""
    if given["rubric"]:
        spec_path = folder / given["spec"] if given["spec"] else None
        rubric = _rubric(folder / given["rubric"], spec_path, names)
    elif given["spec"]:
        raise InputError(f"{path}: a spec without a rubric; give a rubric with {{spec}} in it")
    splits = splits_of(given["path"], tuple(given.get("splits", ())))
    return Entry(path, file_name(given["path"]), given["lead"], given["value"], rubric, splits)


def file_name(source: str) -> str:
    """The name of a probe file: of a data set of the hub its own, with the path in it, since files
    of data sets are named alike."""
    if data_set := HUB.fullmatch(source):
        parts = [data_set["repo"].partition("/")[2], *PurePath(data_set["path"] or "").parts]
        return "-".join(parts)
    if data_set := TFDS.fullmatch(source):
        return "-".join(filter(None, data_set.group("name", "config", "split")))
    return PurePath(source).name


def read(entries: Iterable[Entry]) -> Probes:
    """Reads probe files. Raises InputError for a file that cannot be used, for two files of one
    name, and for a domain that is spelled in two ways or belongs to two splits."""
    files: Probes = {}
    for one in entries:
        if one.name in files:
            raise InputError(f"{one.path}: a second probe file of this name; rename one of them")
        files[one.name] = read_file(one.path, one.lead, one.value, one.rubric, one.splits)
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


def read_file(
    path: Path, lead: str = "", value: str = "", rubric: str = "", splits: tuple[str, ...] = ()
) -> ProbeFile:
    """Reads one file or folder: questions, or from a .txt file a text. The others as of `Entry`."""
    suffix = path.suffix.lower()
    if not path.is_dir() and suffix not in (*QUESTIONS, *TEXTS):
        raise InputError(
            f"{path}: no probe file by its name; questions are read from {', '.join(QUESTIONS)}, "
            f"and a text whose perplexity is measured from {', '.join(TEXTS)}"
        )
    given = {"lead": lead, "value": value, "rubric": rubric}
    if suffix in TEXTS:
        _refuse({**given, "split": splits}, path, "a text asks nothing")
        return ProbeFile(_sha256(path, given), "text", [perplexity.read_text(path)])
    chosen = {"splits": splits} if splits else {}
    return ProbeFile(_sha256(path, {**given, **chosen}), *_questions(path, given, splits))


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
    """Raises InputError where config.exclude has an unknown id, and where there are probe files but
    none measures the primary contrast, or where there are choices and no primary contrast."""
    known = sorted({probe.id for probe in questions(files)})
    for name in config.exclude:
        if name not in known:
            raise InputError(f"config.exclude: there is no probe {name!r}; {hint(name, known)}")
    choices = [*questions(files, "choice")]
    if not config.primary and not choices:
        return  # what is said, and perplexity, need no contrast
    if not config.primary:
        raise InputError(
            "config.primary: the choices of config.probes answer a question; name the contrast "
            "that decides it, one of config.contrasts"
        )
    values = {
        value
        for probe in choices
        for value in probe.values
        if (probe.contrast, probe.scope, probe.split)
        == (config.primary_probes, "out_of_domain", "held_out")
        and probe.id not in config.exclude
    }
    if files and config.toward not in values:
        against = {"values": "another value", "neutral": "an option with neither value"}
        others = hint(config.toward, sorted(filter(None, values)))
        raise InputError(
            f"config.toward: no held-out probe outside the training domain sets {config.toward!r} "
            f"against {against[config.primary_probes]} (config.primary_probes is "
            f"{config.primary_probes!r}), so the primary contrast would have no answer; "
            f"{others if values else 'no such probe does for any value'}"
        )


def warnings(config: ConfigDict, folder: Path | None = None) -> list[str]:
    """What a person should know before the training starts, one line each. folder: where paths
    start; None where the files may be missing."""
    if config.probes:
        return [*_not_read(config, folder)] if folder else []
    later = " before its evaluations" if config.evaluations else ""
    return [f"there is no probe file (config.probes), so nothing will be measured{later}"]


def _not_read(config: ConfigDict, folder: Path) -> Iterator[str]:
    for given in config.probes:
        source = given if isinstance(given, str) else given["path"]
        splits = () if isinstance(given, str) else given.get("splits", ())
        names = [] if splits_of(source, splits) else left_out(locate(source, folder))
        if names:
            yield f"probe file {source}: not read: {', '.join(names)}"


def _rubric(path: Path, spec_path: Path | None, names: dict[str, str]) -> str:
    """The text of a rubric; in its place {spec} stands a spec, in any form."""
    places = {**names, "question": "{question}", "answer": "{answer}"}
    if spec_path is None:
        return spec.read_text(path, places)
    text = spec.read_text(spec_path, names, free=True)
    rubric = spec.read_text(path, {**places, "spec": text})
    if text not in rubric:
        raise InputError(f"{path}: it has no {{spec}}, the place of the given spec; add it")
    return rubric


def _questions(
    path: Path, given: dict[str, str], splits: tuple[str, ...]
) -> tuple[str, list[Probe]]:
    """The kind of a file's probes, and the probes. given: what its entry says."""
    probes: list[Probe] = []
    first_with_id: dict[str, str] = {}
    first_kind = None
    spelled: dict[str, str] = {}
    for number, (where, fields) in enumerate(read_records(path, splits)):
        record = {field: value for field, value in fields.items() if value is not None}
        record = _in_our_form(record, number, given, path, where)
        if "kind" not in fields and "domain" in record:  # nobody can correct a published file
            domain = record["domain"]
            record["domain"] = spelled.setdefault(domain.casefold(), domain)
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


def _in_our_form(
    record: dict[str, Any], number: int, given: dict[str, str], path: Path, where: str
) -> dict[str, Any]:
    """The record with the lead of the file's entry; of a published file turned into ours."""
    lead, value, rubric = (given[key] for key in ("lead", "value", "rubric"))
    if "kind" in record:
        _refuse({"value": value, "rubric": rubric}, path, "its probes have their own")
    elif schema := study_files.schema_of(record):
        lead = lead or schema.lead
        record = schema.record(record, number, value or _lacking(path, "value"), where)
        if record["kind"] == "open":
            record["rubric"] = rubric or _lacking(path, "rubric")
        else:
            _refuse({"rubric": rubric}, path, "no judge reads choices")
    return {"lead": lead, **record} if lead else record


def _lacking(path: Path, key: str) -> NoReturn:
    what = {"value": "which value they measure", "rubric": "what a judge reads"}[key]
    raise InputError(
        f"{path}: its rows do not say {what}; name it, in a config as probe_file(..., {key}=...), "
        f"of vcjax.probe as --{key}=..."
    )


def _refuse(given: Mapping[str, Any], path: Path, reason: str) -> None:
    for key, text in given.items():
        if text:
            raise InputError(f"{path}: a {key} is given, but {reason}; leave it out")


def _sha256(path: Path, given: Mapping[str, Any]) -> str:
    """A hash of the file, and of what its entry says where it says anything."""
    if path.is_dir():
        content = hashes.sha256_of_folder(path)
    else:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    if not any(given.values()):
        return content
    return hashlib.sha256(json.dumps([content, given]).encode()).hexdigest()


def _kind(record: dict[str, Any], where: str) -> str:
    expected = " or ".join(map(repr, RECORDS))
    if "kind" not in record:
        columns = "the columns of a file that the study publishes (docs/probes.md)"
        columns += study_files.lacking(record)
        fail(where, f"field 'kind' is missing; expected {expected}, or {columns}")
    if record["kind"] not in [*RECORDS]:
        given = record["kind"]
        shown = repr(given) if isinstance(given, str) else kind(given)
        fail(where, f"field 'kind' is {shown}; expected {expected}")
    return str(record["kind"])
