"""Reads what a report is made from: a run's record, its answers, its losses.

The plan in the record names the files that belong to the run. So files of earlier settings are not
mixed in, and missing ones are named.
"""

import ast
import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from etils import epath

from vcjax import record as records
from vcjax.errors import InputError
from vcjax.probes import answer_files
from vcjax.record import Record
from vcjax.report import design, statistics
from vcjax.workdir import stages

_ANALYSIS = ("statistics.py", "tables.py", "reading.py", "design.py", "premise.py")
_METRICS = ["loss", "held_out_loss", "weighted_tokens", "learning_rate", "grad_norm"]
_TEXT = ["file", "arm", "seed", "file_sha256", "scorer", "tokens", "logprob"]
_STAGE = ["chain", "stage", "seed", "fingerprint"]
KINDS = ("choice", "text", "said", "open", "refusal")


def read_ordered(workdir: epath.Path) -> Record:
    """As `record.read`, with arms and contrasts in the order in which one reads them.

    That is `design.arms_in_order` and `design.contrasts_in_order`; in config.json they are sorted
    by name.
    """
    record = records.read(workdir)
    config = dict(record.config)
    config["contrasts"] = {n: config["contrasts"][n] for n in design.contrasts_in_order(config)}
    config["arms"] = {arm: config["arms"][arm] for arm in design.arms_in_order(config)}
    arms = {arm: record.plan.arms[arm] for arm in config["arms"]}
    plan = dataclasses.replace(record.plan, arms=arms)
    return dataclasses.replace(record, config=config, plan=plan)


def analysis_sha256() -> str:
    """A hash of the code that computes a report's numbers from the answers.

    Comments, docstrings, messages of errors and the layout of lines do not change it, nor does the
    version of Python.
    """
    modules = (Path(__file__).with_name(name) for name in _ANALYSIS)
    trees = [ast.parse(module.read_text(encoding="utf-8")) for module in modules]
    return hashlib.sha256("".join(map(_code, trees)).encode()).hexdigest()


def _code(node: object) -> str:
    """A syntax tree as text, without positions, docstrings, messages of errors and empty fields."""
    if isinstance(node, list):
        return "".join(map(_code, node))
    if not isinstance(node, ast.AST):
        return f"{node!r};"
    if isinstance(node, ast.Raise):
        return "Raise();"
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    parts = (f"{name}={_code(value)}" for name, value in fields.items() if value not in (None, []))
    return f"{type(node).__name__}({','.join(parts)})"


def missing_answers(
    folder: epath.Path, record: Record, probes: Mapping[str, str] | None = None
) -> list[str]:
    """The names of the plan's files of answers that are not current here.

    probes: file name -> sha256; None: whatever probes the folder has answers to.
    """
    wanted: dict[str, dict[str, Any]] = {}  # by kind: what answers have to be decided by, too
    if probes is None:
        wanted = {kind: {} for kind in kinds_of(folder, record)}
    for name, sha in (probes or {}).items():
        wanted.setdefault(record.kind_of(name), {"probes": {}})["probes"][name] = sha
    missing = [
        path.name
        for kind, more in wanted.items()
        for path, arm, seed in _answer_paths(folder, record, kind)
        if not answer_files.is_current(path, record.decides(kind, arm, seed) | more)
    ]
    return [*dict.fromkeys(missing)]


def kinds_of(folder: epath.Path, record: Record) -> list[str]:
    """The kinds of probes that a folder has any answers to."""
    return [
        kind for kind in KINDS if any(p.exists() for p, _, _ in _answer_paths(folder, record, kind))
    ]


def check_answered(workdir: epath.Path, record: Record) -> None:
    """Raises InputError where an arm and seed lacks current answers to the run's own probes."""
    missing = missing_answers(workdir / "probes", record, record.probes)
    if missing:
        raise InputError(
            f"{workdir / 'probes'}: no answers yet of the run as it is now: {', '.join(missing)}; "
            "start the run's command of vcjax.main again"
        )


def judged_by(answers: epath.Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the judgements of a file of open answers. settings: config.judge."""
    judge = {key: settings[key] for key in ("by", "url", "model", "max_tokens")}
    return {"answers": answer_files.digest(answers), "judge": judge}


def is_judged(
    folder: epath.Path, arm: str, seed: int, answers: epath.Path, settings: Mapping[str, Any]
) -> bool:
    """Whether this judge's judgements of a file of open answers are there."""
    path = answer_files.own_path(folder, arm, seed, "judged")
    return answer_files.is_current(path, judged_by(answers, settings))


class Answers(NamedTuple):
    """The answers of every arm and seed, a table each kind of probes; empty without such probes.

    choices: what `statistics.answers` returns. texts: a row an arm, seed and text whose perplexity
    was measured; columns arm, seed, file, file_sha256, scorer, tokens (count), logprob (mean, nats
    a token). said, open, refusals: a row an answer in free text, as `probes.texts.ask` returns
    them, with arm and seed; open ones that were judged with what `judges.judging.judge` returns,
    too.
    """

    choices: pd.DataFrame
    texts: pd.DataFrame
    said: pd.DataFrame
    open: pd.DataFrame
    refusals: pd.DataFrame


def read_answers(
    folder: epath.Path, record: Record, probes: Collection[str] | None = None
) -> Answers:
    """The answers in one folder, without probes that the config excludes.

    probes: names of the files that count; None: all. `check_answered` and `missing_answers` tell
    whether they are complete and current. Raises InputError where a file is broken, or holds rows
    of another arm or seed.
    """
    present = kinds_of(folder, record)

    def read(kind: str) -> pd.DataFrame:
        rows = _read_rows(folder, record, kind) if kind in present else pd.DataFrame()
        if len(rows) and probes is not None:
            rows = rows[rows["file"].isin([*probes])]
        if len(rows) and "id" in rows:
            rows = rows[~rows["id"].isin(record.config["exclude"])]
        return rows.reset_index(drop=True)

    choices, texts = read("choice"), read("text")
    if len(choices):
        choices = statistics.answers(choices, record.config["toward"])
    if len(texts):
        texts = texts[_TEXT].sort_values(_TEXT[:3], ignore_index=True)
    return Answers(choices, texts, read("said"), read("open"), read("refusal"))


def read_curves(workdir: epath.Path, record: Record) -> pd.DataFrame:
    """Every logged step of every stage of the plan, from `stages/<fingerprint>/metrics.jsonl`.

    Returns:
      Columns chain (the stages up to this one, "a > b"), stage, seed, fingerprint, step, loss and
      held_out_loss (nats a token; missing where not logged at that step), weighted_tokens,
      learning_rate, grad_norm.

    Raises:
      InputError: a file is missing or a line of it is broken.
    """
    chains = record.plan.chains()
    entries = []
    for fingerprint, stage in record.plan.stages.items():
        identity = [chains[fingerprint], stage.name, stage.seed, fingerprint]
        path = stages.folder(workdir, fingerprint) / "metrics.jsonl"
        entries += [dict(zip(_STAGE, identity, strict=True)) | line for line in _read_metrics(path)]
    table = pd.DataFrame(entries, columns=[*_STAGE, "step", *_METRICS])
    table[_METRICS] = table[_METRICS].astype(float)
    return table.sort_values([*_STAGE, "step"], kind="stable", ignore_index=True)


def _answer_paths(
    folder: epath.Path, record: Record, kind: str
) -> list[tuple[epath.Path, str, int]]:
    return [
        (answer_files.path_of(folder, arm, seed, kind, not record.kinds), arm, seed)
        for arm, seeds in record.plan.arms.items()
        for seed in seeds
    ]


def _read_rows(folder: epath.Path, record: Record, kind: str) -> pd.DataFrame:
    tables = []
    for path, arm, seed in _answer_paths(folder, record, kind):
        rows = answer_files.read(path)
        columns = statistics.ROW_COLUMNS if kind == "choice" else ()
        missing = [name for name in columns if name not in rows.column_names]
        if kind == "text" and "contrast" in rows.column_names:  # before 0.9: rows among choices
            rows = rows.filter(pc.field("contrast") == "text")
            rows = rows.rename_columns({"tokens_0": "tokens", "logprob_0": "logprob"}).select(_TEXT)
        elif missing:
            raise InputError(
                f"{path}: the column '{missing[0]}' is missing; score the probes again"
            )
        elif kind == "choice":
            rows = rows.select(statistics.ROW_COLUMNS).filter(pc.field("contrast") != "text")
        if set(rows["arm"].to_pylist()) - {arm} or set(rows["seed"].to_pylist()) - {seed}:
            raise InputError(
                f"{path}: holds rows of another arm or seed than its name says; "
                "delete it and start the same command again"
            )
        if kind == "open" and is_judged(folder, arm, seed, path, record.config["judge"]):
            rows = _with_judgements(rows, answer_files.own_path(folder, arm, seed, "judged"))
        tables.append(rows)
    return pa.concat_tables(tables, promote_options="permissive").to_pandas()


def _with_judgements(rows: pa.Table, path: epath.Path) -> pa.Table:
    """The answers with the columns of their judgements; both have the same order."""
    judged = answer_files.read(path)
    for name in ("score", "failure", "judge"):
        rows = rows.append_column(name, judged.column(name))
    return rows


def _read_metrics(path: epath.Path) -> Iterator[dict]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; start the same command again") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: damaged ({error}); delete the stage's folder and start the same command again"
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            yield entry | {"step": int(entry["step"])}
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{path}:{number}: expected a JSON object with a number 'step'; "
                "delete the stage's folder and start the same command again"
            ) from None
