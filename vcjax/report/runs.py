"""Several finished runs, read to be compared: their contrasts, their premise, and whether they ask
the same question on the same probes. Nothing is written to them."""

import collections
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd
from etils import epath

from vcjax.errors import InputError
from vcjax.record import Record
from vcjax.report import curves, design
from vcjax.report.premise import premise, shares
from vcjax.report.reading import check_answered, read_answers, read_ordered
from vcjax.report.tables import by_cluster, estimates, formula, headline, in_group, weighted_sums
from vcjax.workdir import storage


class Run(NamedTuple):
    """A finished run.

    name: its config's, until `named_apart`. tables: arms, contrasts and seeds
    as of `tables.make_tables`, of the headline's held-out pairs and of the premise's probes; their
    p-values are not corrected. premise: what `premise.premise` returns. probes: (sha256 of the
    file, id) -> name of the file, of the held-out pairs.
    """

    name: str
    workdir: epath.Path
    record: Record
    tables: dict[str, pd.DataFrame]
    premise: dict | None
    probes: dict[tuple[str, str], str]

    @property
    def config(self) -> dict[str, Any]:
        return self.record.config

    @property
    def people(self) -> pd.DataFrame:
        """What `premise.shares` returns."""
        return shares(self.tables, self.config)


def read(workdirs: Iterable[epath.Path]) -> list[Run]:
    """The runs of these workdirs, in the same order.

    Raises InputError where one is no run or not finished, two are the same run, or two cannot be
    compared: they differ in their primary contrast, in `toward` or in the held-out pairs.
    """
    runs: list[Run] = []
    for workdir in workdirs:
        run = _read(workdir)
        for other in runs:
            _check_pair(other, run)
        runs.append(run)
    return runs


def common_contrasts(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """The contrasts that all runs have, of the same arms and weights, in the order of the first
    run's report; and the names of all others."""
    first, *others = (run.config["contrasts"] for run in runs)
    common = [name for name in first if all(other.get(name) == first[name] for other in others)]
    every = dict.fromkeys(name for run in runs for name in run.config["contrasts"])
    return common, [name for name in every if name not in common]


def leading(runs: Sequence[Run]) -> list[str]:
    """The contrasts that all runs have and the first one's report leads with, the primary last."""
    common, _ = common_contrasts(runs)
    config = curves.without(runs[0].config)
    names = [name for name in design.leading(config) if name in common]
    return [name for name in names if name != config["primary"]] + [config["primary"]]


def held_out(run: Run, table: str) -> pd.DataFrame:
    """The rows of a run's table on the held-out pairs that answer its question."""
    rows = run.tables[table]
    return rows[in_group(rows, headline(run.config))]


def _read(workdir: epath.Path) -> Run:
    record = read_ordered(workdir)
    config = record.config
    check_answered(workdir, record)
    answers = read_answers(workdir / "probes", record, record.probes).choices
    main = answers[in_group(answers, headline(config))] if len(answers) else answers
    if main.empty:
        raise InputError(
            f"{workdir}: no held-out pair with {config['toward']} that answers the question was "
            "scored, so it has no effect to compare; leave this run out"
        )
    sums = weighted_sums(pd.concat([main, answers[answers["contrast"] == "premise"]]), config)
    tables = {
        "arms": estimates(sums, config, "arm"),
        "contrasts": estimates(sums, config, "contrast"),
        "seeds": by_cluster(sums, "seed"),
    }
    tables = {name: table.round(6) for name, table in tables.items()}
    files = main.drop_duplicates(["file_sha256", "id"])
    keys = zip(files["file_sha256"], files["id"], strict=True)
    probes = dict(zip(keys, files["file"], strict=True))
    return Run(config["name"], workdir, record, tables, premise(tables, config), probes)


def _check_pair(a: Run, b: Run) -> None:
    """Raises InputError where b is the same run as a, or cannot be compared with it."""
    if storage.absolute(a.workdir) == storage.absolute(b.workdir):
        raise InputError(f"--workdir: {b.workdir} is given twice; leave one out")
    for what, of in (("primary contrast", _primary), ("toward", _toward)):
        if of(a) != of(b):
            raise InputError(
                f"{b.workdir}: its {what} is {of(b)}, that of {a.workdir} is {of(a)}; give runs "
                "that ask the same question"
            )
    different = _probes_of_one(b, a) or _probes_of_one(a, b)
    if different:
        raise InputError(f"{different}; give runs with the same held-out pairs")
    if _asked(a) == _asked(b):
        raise InputError(
            f"{b.workdir}: its models and what they were asked are those of {a.workdir}, so both "
            "are one run; leave one out"
        )


def _primary(run: Run) -> str:
    name = run.config["primary"]
    return f"{name} ({formula(run.config['contrasts'][name])})"


def _toward(run: Run) -> str:
    return run.config["toward"]


def _probes_of_one(a: Run, b: Run) -> str:
    """What of the held-out pairs of a are not those of b, as text; "" where b has all of them."""
    for (sha, probe), file in a.probes.items():
        if (sha, probe) in b.probes:
            continue
        here, there = f"{a.workdir}: its probe file {file}", b.record.probes.get(file)
        if there == sha:
            return f"{here} has the probe {probe!r}, which {b.workdir} leaves out"
        other = f"has the sha256 {there[:16]} in {b.workdir}" if there else f"is not in {b.workdir}"
        return f"{here} (sha256 {sha[:16]}) {other}"
    return ""


def _asked(run: Run) -> tuple[dict[tuple[str, int], str], str]:
    """What decides a run's answers, beside its probes."""
    arms = run.record.plan.arms
    models = {(arm, s): run.record.model_of(arm, s) for arm, seeds in arms.items() for s in seeds}
    return models, run.config["lead"]


def named_apart(runs: list[Run]) -> list[Run]:
    """The runs, those of one name with a number each, in their order."""
    counts = collections.Counter(run.name for run in runs)
    numbers = {name: itertools.count(1) for name in counts}
    return [
        run._replace(name=f"{run.name} {next(numbers[run.name])}") if counts[run.name] > 1 else run
        for run in runs
    ]
