"""Reads what a report is made from: a run's record, its answers, its losses.

The plan in the record names the files that belong to the run. So files of earlier settings are not
mixed in, and missing ones are named.
"""

import ast
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
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
    """The names of the plan's files of answers (`<arm>-<seed>.parquet`) that are not current here.

    probes, and what is current: as `answer_files.is_current`.
    """
    lead = record.config["lead"]
    return [
        path.name
        for path, arm, seed in _answer_paths(folder, record)
        if not answer_files.is_current(path, record.model_of(arm, seed), lead, probes)
    ]


def check_answered(workdir: epath.Path, record: Record) -> None:
    """Raises InputError where an arm and seed lacks current answers to the run's own probes."""
    missing = missing_answers(workdir / "probes", record, record.probes)
    if missing:
        raise InputError(
            f"{workdir / 'probes'}: no answers yet of the run as it is now: {', '.join(missing)}; "
            "start the run's command of vcjax.main again"
        )


def read_answers(folder: epath.Path, record: Record) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers of every arm and seed of the plan, from `<arm>-<seed>.parquet` in one folder.

    `check_answered` and `missing_answers` tell whether they are complete and current.

    Returns:
      Of the choices what `statistics.answers` returns, without probes that the config excludes.
      Of the texts whose perplexity was measured a row an arm, seed and text: columns arm, seed,
      file, file_sha256, scorer, tokens (count), logprob (mean, nats a token).

    Raises:
      InputError: a file is broken, or holds rows of another arm or seed.
    """
    tables = []
    for path, arm, seed in _answer_paths(folder, record):
        rows = _read_rows(path)
        if set(rows["arm"].to_pylist()) - {arm} or set(rows["seed"].to_pylist()) - {seed}:
            raise InputError(
                f"{path}: holds rows of another arm or seed than its name says; "
                "delete it and start the same command again"
            )
        tables.append(rows)
    rows = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    rows = rows[~rows["id"].isin(record.config["exclude"])]
    is_text = rows["contrast"] == "text"
    texts = rows[is_text].rename(columns={"tokens_0": "tokens", "logprob_0": "logprob"})
    choices = statistics.answers(rows[~is_text], record.config["toward"])
    return choices, texts[_TEXT].sort_values(_TEXT[:3], ignore_index=True)


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


def _answer_paths(folder: epath.Path, record: Record) -> list[tuple[epath.Path, str, int]]:
    return [
        (folder / f"{arm}-{seed}.parquet", arm, seed)
        for arm, seeds in record.plan.arms.items()
        for seed in seeds
    ]


def _read_rows(path: epath.Path) -> pa.Table:
    rows = answer_files.read(path)
    missing = [name for name in statistics.ROW_COLUMNS if name not in rows.column_names]
    if missing:
        raise InputError(f"{path}: the column '{missing[0]}' is missing; score the probes again")
    return rows.select(statistics.ROW_COLUMNS)


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
