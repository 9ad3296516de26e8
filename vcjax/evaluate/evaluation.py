"""A whole evaluation: a run's models are asked, their scores kept, the report written."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from etils import epath
from inspect_ai.log import EvalLog, read_eval_log_sample_summaries

from vcjax import record as records
from vcjax.errors import InputError, hint
from vcjax.evaluate import logs, other_server, running
from vcjax.evaluate.other_server import OtherServer
from vcjax.evaluate.running import Settings
from vcjax.evaluate.tasks import Found
from vcjax.record import Record
from vcjax.report import evaluation_files
from vcjax.report.page import write_report
from vcjax.report.reading import check_answered, read_ordered
from vcjax.serve import background, models
from vcjax.serve.background import Address
from vcjax.serve.models import ArmSeed
from vcjax.workdir import lock

MOST_OF_A_REASON = 200  # characters


class Place(NamedTuple):
    """Where models answer: at url, or in this process. slots: answers at once of each model;
    length: tokens of one with its prompt, in this process."""

    url: str | None
    slots: int
    length: int | None


def evaluate(
    workdir: epath.Path,
    arms: Sequence[str] | None,
    seeds: Sequence[str] | None,
    found: Found,
    settings: Settings,
    place: Place,
) -> None:
    """Runs a task on arms and seeds; None for all. What has a finished log is not asked again.

    Raises InputError before anything is asked where what was given cannot be used, and at the end
    where samples failed.
    """
    record = finished_run(workdir)
    count = record.config["seeds"]
    chosen = models.chosen(record.plan.arms, arms, seeds or [*map(str, range(count))], count)
    names = _names(record, chosen)
    identities = {name: record.model_of(*model) for model, name in names.items()}
    running.grader(settings.grader)
    server = None if place.url is None else other_server.find(place.url, [*identities], record)
    about = {
        "task": found.name,
        "arguments": found.arguments,
        "version": found.version,
        **dataclasses.asdict(settings),
        "server": "vcjax" if server is None or server.is_vcjax else "another",
    }
    if found.of_config:
        about["of_config"] = found.of_config
    folder = evaluation_files.folder(workdir, about) / "logs"
    with lock.hold(workdir):
        logs_of = running.finished(folder, identities)
        to_ask = {name: identities[name] for name in identities if name not in logs_of}
        if to_ask:
            with _serving(workdir, record, [*to_ask], place, server) as address:
                logs_of |= running.run(found, settings, to_ask, address, place.slots, folder)
        keep(workdir, about, record, [(model, logs_of[name]) for model, name in names.items()])
        report(workdir)
    _refuse_failed(logs_of)


def named(workdir: epath.Path, name: str) -> dict[str, Any]:
    """The evaluation that the run's config has by this name, as `schema.keys.Evaluation`."""
    of_config = records.read(workdir).config["evaluations"]
    if name not in of_config:
        raise InputError(
            f"--evaluation={name}: the run's config has no such evaluation; {hint(name, of_config)}"
        )
    return of_config[name]


def finished_run(workdir: epath.Path) -> Record:
    """The record of a run that a report can be written of."""
    record = read_ordered(workdir)
    check_answered(workdir, record)
    return record


def keep(
    workdir: epath.Path,
    about: Mapping,
    record: Record,
    of_models: Iterable[tuple[ArmSeed, EvalLog]],
) -> None:
    """Adds the scores of logs to an evaluation."""
    contents = [(model, *logs.read(log.location)) for model, log in of_models]
    measures = logs.measures(log for _, log, _ in contents)
    rows = [
        {"arm": arm, "seed": seed, "model": record.model_of(arm, seed), "named": log.eval.model}
        | row
        | {"log": sha256}
        for (arm, seed), log, sha256 in contents
        for row in logs.rows(log, measures)
    ]
    if rows:
        evaluation_files.write(workdir, about, pd.DataFrame(rows))


def report(workdir: epath.Path) -> None:
    write_report(workdir)
    print(f"report: {workdir / 'report' / 'index.html'}, under Evaluations")


def _names(record: Record, chosen: Iterable[ArmSeed]) -> dict[ArmSeed, str]:
    """What each model is called where it is asked. The untouched model of all seeds is one, and so
    has the name of the first."""
    first: dict[str, str] = {}
    return {
        (arm, seed): first.setdefault(record.model_of(arm, seed), f"{arm}-{seed}")
        for arm, seed in chosen
    }


@contextlib.contextmanager
def _serving(
    workdir: epath.Path,
    record: Record,
    names: Sequence[str],
    place: Place,
    server: OtherServer | None,
) -> Iterator[Address]:
    """The server that was given, or while inside one of this process with these models."""
    if server is not None:
        yield server.address
        return
    wanted = [(arm, int(seed)) for arm, seed in (name.split("-") for name in names)]
    loaded, speakers = models.load(workdir, record, wanted, place.slots, place.length)
    named = {f"{arm}-{seed}": speaker for (arm, seed), speaker in speakers.items()}
    with background.serving(loaded, named) as address:
        yield address


def _refuse_failed(logs_of: Mapping[str, EvalLog]) -> None:
    failed = {name: log for name, log in logs_of.items() if log.status != "success"}
    if failed:
        first = next(iter(failed.values()))
        summaries = read_eval_log_sample_summaries(first.location)
        errors = [summary.error for summary in summaries if summary.error]
        reason = first.error.message if first.error else next(iter(errors), first.status)
        if len(reason) > MOST_OF_A_REASON:
            reason = f"... {reason[-MOST_OF_A_REASON:]}"  # a request that failed stands before why
        raise InputError(
            f"samples failed of {', '.join(failed)} ({reason}); the report counts them, and the "
            "same command asks them again"
        )
