"""Logs that others made of a run's exported arms, sorted into evaluations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from etils import epath
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

from vcjax.errors import InputError, hint
from vcjax.evaluate import evaluation, logs
from vcjax.record import Record
from vcjax.serve.models import ArmSeed
from vcjax.workdir import lock


def bring_in(workdir: epath.Path, folder: Path, models: Sequence[str]) -> None:
    """Adds the scores of all logs in a folder, and writes the report. models: what --models gives.

    Logs of one task with the same arguments and settings are one evaluation. Raises InputError,
    and nothing is added, where a log cannot be used.
    """
    record = evaluation.finished_run(workdir)
    of_models = _models(models, record)
    sorted_: dict[str, dict[ArmSeed, EvalLog]] = {}
    for log in _headers(folder, of_models):
        group = sorted_.setdefault(json.dumps(_about(log), sort_keys=True), {})
        model = of_models[log.eval.model]
        if model in group:
            first = logs.path(group[model].location)
            raise InputError(
                f"--logs: {first} and {logs.path(log.location)} are of one model, task and "
                "settings; leave one in the folder"
            )
        group[model] = log
    with lock.hold(workdir):
        for about, group in sorted_.items():
            whole = _of_equal_models(group, record)
            evaluation.keep(workdir, json.loads(about), record, whole.items())
        evaluation.report(workdir)


def _of_equal_models(given: Mapping[ArmSeed, EvalLog], record: Record) -> dict[ArmSeed, EvalLog]:
    """With the log of a model that all seeds share, the untouched one, at each of them."""
    same = {
        (arm, seed): log
        for (arm, of), log in given.items()
        for seed in record.plan.arms[arm]
        if record.model_of(arm, seed) == record.model_of(arm, of)
    }
    return {**same, **given}


def _models(given: Iterable[str], record: Record) -> dict[str, ArmSeed]:
    """Model name -> arm and seed, of MODEL=ARM-SEED."""
    arms = record.plan.arms
    found: dict[str, ArmSeed] = {}
    for text in given:
        name, _, of = text.rpartition("=")
        arm, _, seed = of.rpartition("-")
        if not name or not seed.isdigit():
            raise InputError(f"--models={text}: expected MODEL=ARM-SEED")
        if arm not in arms:
            raise InputError(f"--models={text}: {arm!r} is no arm of the run; {hint(arm, arms)}")
        if int(seed) not in arms[arm]:
            raise InputError(f"--models={text}: the run has {len(arms[arm])} seeds, from 0")
        if name in found or (arm, int(seed)) in found.values():
            raise InputError(f"--models={text}: given before")
        found[name] = (arm, int(seed))
    return found


def _headers(folder: Path, of_models: Mapping[str, ArmSeed]) -> list[EvalLog]:
    """The headers of the logs in a folder, each finished and of a model that is named."""
    if not folder.is_dir():
        raise InputError(f"--logs: {folder} is no folder; give one with .eval files")
    headers = []
    for info in list_eval_logs(str(folder), formats=["eval"], descending=False):
        try:
            headers.append(read_eval_log(info, header_only=True))
        except Exception as error:  # of whatever reads zip files and JSON
            raise InputError(
                f"--logs: {logs.path(info.name)} is no log of Inspect ({error})"
            ) from error
    if not headers:
        raise InputError(f"--logs: {folder} has no .eval files")
    found = list(dict.fromkeys(header.eval.model for header in headers))
    if unknown := [name for name in found if name not in of_models]:
        raise InputError(
            f"--logs: which arm and seed is {', '.join(unknown)}? Say it by "
            f"--models={unknown[0]}=ARM-SEED; a log of something else does not belong here"
        )
    if unused := [name for name in of_models if name not in found]:
        raise InputError(f"--models={unused[0]}: no log is of it; they are of {', '.join(found)}")
    for header in headers:
        if header.status != "success":
            raise InputError(
                f"--logs: {logs.path(header.location)} is not finished ({header.status}); finish "
                "it by inspect eval-retry, or take it out of the folder"
            )
    return headers


def _about(log: EvalLog) -> dict[str, Any]:
    """What makes logs comparable: the same keys as of an evaluation that vcjax ran."""
    config, roles = log.plan.config, log.eval.model_roles or {}
    own = log.eval.model_generate_config
    graders = roles.get("grader")
    return {
        "task": log.eval.task,
        "arguments": log.eval.task_args_passed,
        "version": str(log.eval.task_version),
        "limit": log.eval.config.limit,
        "epochs": log.eval.config.epochs,
        "temperature": _first(config.temperature, own.temperature),
        "max_tokens": _first(config.max_tokens, own.max_tokens),
        "grader": None if graders is None else getattr(graders, "model", str(graders)),
        "server": "others",
    }


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
