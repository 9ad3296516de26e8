"""Writes one report of several finished runs: index.html, its tables as CSV, its figure as SVG.

It has no dates, durations or paths, so the same runs give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from etils import epath
from markupsafe import Markup

from vcjax.errors import InputError
from vcjax.report import by_premise, claims, factors, figures, output, premise, runs, view
from vcjax.report.factors import Factor
from vcjax.report.formatting import MINUS, as_text, compact
from vcjax.report.runs import Run
from vcjax.report.tables import GROUP, formula
from vcjax.workdir import storage

_TABLES = ("runs", "contrasts", "premise", "pretrained", "by_premise")
_FIGURES = ("runs", "by-premise")
_FILES = {"index.html", *(f"{name}.svg" for name in _FIGURES), *(f"{name}.csv" for name in _TABLES)}
_SHOWN = 16  # characters of a sha256


def write_report(workdirs: Sequence[epath.Path], out: Path, x: str | None = None) -> list[str]:
    """Writes the folder `out` from the records and answers of several finished runs.

    Args:
      workdirs: of the runs; nothing is written there.
      out: a folder that is new or empty, or holds such a report, which is replaced.
      x: the factor that effects are drawn against: a key of the config, or "parameters", the number
        of weights. None: the one number in which the runs differ; where they differ in more, they
        stand side by side.

    Returns:
      The summary, a line a run: its answer to the question.

    Raises:
      InputError: what `runs.read` and `factors.factor` say, or `out` holds other files or lies in
        the folder of a run.
    """
    _check_out(out, workdirs)
    compared, factor = _read(workdirs, x)
    common, _ = runs.common_contrasts(compared)
    contrasts = _joined(compared, factor, (runs.held_out(run, "contrasts") for run in compared))
    contrasts = contrasts[contrasts["name"].isin(common)]
    people = _joined(compared, factor, (run.people for run in compared))
    settings = factors.settings([run.config for run in compared])
    models = _joined(compared, factor, (_pretrained(run) for run in compared))
    sides = by_premise.sides(models).round(6)
    tables = {
        "runs": _runs_table(compared, factor, settings),
        "contrasts": _for_csv(contrasts, factor),
        "premise": _for_csv(people, factor),
        "pretrained": _for_csv(models, factor),
        "by_premise": sides,
    }
    svgs = {"runs": _figure(compared, factor, contrasts, people)}
    if len(models):
        primary = compared[0].config["primary"]
        svgs["by-premise"] = figures.by_premise_figure(models, sides, primary)
    variables = _variables(compared, factor, settings, contrasts, people) | {
        "x": x,
        "figures": {name: Markup(svg) for name, svg in svgs.items()},
        "by_premise": sides.to_dict("records"),
        "tables": [name for name in _TABLES if len(tables[name])],
    }
    page = output.page("runs.html.jinja", variables)
    contents = {f"{name}.svg": svg for name, svg in svgs.items()} | output.csv(tables)
    output.write(epath.Path(out), page, contents)
    labels = _labels(compared, factor)
    return [_line(run, label) for run, label in zip(compared, labels, strict=True)]


def _check_out(out: Path, workdirs: Iterable[epath.Path]) -> None:
    for workdir in workdirs:
        if storage.is_local(workdir) and out.resolve().is_relative_to(Path(workdir).resolve()):
            raise InputError(f"--out: {out} lies in the run {workdir}; give a folder elsewhere")
    if not (out.is_dir() and {path.name for path in out.iterdir()} <= _FILES):
        storage.check_empty("out", out)


def _read(workdirs: Sequence[epath.Path], x: str | None) -> tuple[list[Run], Factor | None]:
    """The runs, and the factor if there is one; they are then in the order of its values."""
    given = runs.read(workdirs)
    settings = factors.settings([run.config for run in given])
    factor = factors.factor(x, [(run.workdir, run.config) for run in given], settings)
    if factor is None:
        return runs.named_apart(given), None
    order = sorted(range(len(given)), key=factor.values.__getitem__)
    ordered = Factor(factor.name, [factor.values[i] for i in order])
    return runs.named_apart([given[i] for i in order]), ordered


def _joined(
    compared: Sequence[Run], factor: Factor | None, tables: Iterable[pd.DataFrame]
) -> pd.DataFrame:
    """One table of the runs' own, with the columns run, x (the factor), and fails (the premise)."""
    values: Sequence[Any] = factor.values if factor else [""] * len(compared)
    return pd.concat(
        [
            table.assign(run=run.name, x=value, fails=_fails(run))
            for run, value, table in zip(compared, values, tables, strict=True)
        ],
        ignore_index=True,
    )


def _pretrained(run: Run) -> pd.DataFrame:
    """What `by_premise.models` returns, of the primary contrast alone."""
    return by_premise.models(run.tables, run.config | {"curves": {}})


def _fails(run: Run) -> bool:
    return run.premise is not None and not run.premise["holds"]


def _figure(
    compared: Sequence[Run], factor: Factor | None, contrasts: pd.DataFrame, people: pd.DataFrame
) -> str:
    names = runs.leading(compared)
    if factor:
        effects = [contrasts[contrasts["name"] == name] for name in names]
        of_all = people.assign(series="")
        return figures.factor_figure("runs", factor.name, pd.concat(effects), of_all, names[-1])
    of_runs = {}
    for run in compared:
        own = contrasts[contrasts["run"] == run.name].set_index("name").loc[names].reset_index()
        seeds = runs.held_out(run, "seeds")
        of_runs[run.name] = own, seeds[seeds["kind"] == "contrast"]
    return figures.runs_figure(of_runs)


def _runs_table(
    compared: Sequence[Run], factor: Factor | None, settings: dict[str, list[Any]]
) -> pd.DataFrame:
    """One row a run: its name, the factor, in what the runs differ, its premise, its answer."""
    columns: dict[str, Any] = {"run": [run.name for run in compared]}
    columns |= {factor.name: factor.values} if factor else {}
    columns |= {key: list(map(as_text, values)) for key, values in settings.items()}
    columns["premise"] = [
        "" if run.premise is None else "fails" if _fails(run) else "holds" for run in compared
    ]
    columns["answer"] = [_verdict(run) for run in compared]
    return pd.DataFrame(columns)


def _for_csv(table: pd.DataFrame, factor: Factor | None) -> pd.DataFrame:
    """Without p-values, which are corrected within a run alone, and without what all rows share."""
    if table.empty:
        return table
    dropped = [*GROUP, "role", "fails", "run", "x"]
    kept = [c for c in table if c not in dropped and not str(c).endswith("_p")]
    first = table[["run", "x"]].rename(columns={"x": factor.name}) if factor else table[["run"]]
    return pd.concat([first, table[kept]], axis=1)


def _variables(
    compared: Sequence[Run],
    factor: Factor | None,
    settings: dict[str, list[Any]],
    contrasts: pd.DataFrame,
    people: pd.DataFrame,
) -> dict[str, Any]:
    """What the page shows, figure aside."""
    config = compared[0].config
    primary = config["primary"]
    labels = _labels(compared, factor)
    common, others = runs.common_contrasts(compared)
    verdicts: dict[str, list[str]] = {}
    for run, label in zip(compared, labels, strict=True):
        verdicts.setdefault(_verdict(run), []).append(label)
    deviations: dict[str, list[str]] = {}
    for run in compared:
        deviations.setdefault(view.deviations(run.record), []).append(run.name)
    deviations.pop("", None)
    return {
        "title": f"{len(compared)} runs: {primary}, toward {config['toward']}",
        "primary": primary,
        "question": claims.question(primary, formula(config["contrasts"][primary]), config),
        "verdicts": verdicts,
        "failing": [n for run, n in zip(compared, labels, strict=True) if _fails(run)],
        "unmeasured": [run.name for run in compared if run.premise is None],
        "threshold": premise.PREMISE,
        "factor": factor.name if factor else "",
        "confounded": factor is not None and _is_confounded(factor, settings),
        "contrasts": [_contrast(name, contrasts, factor, primary) for name in common],
        "others": others,
        "people": [
            {"title": f"Choices {whose}", "rows": _levels(people, "people", whose, factor)}
            for whose in (people["people"].unique() if len(people) else ())
        ],
        "has_seeds": any(run.config["seeds"] > 1 for run in compared),
        "names": [run.name for run in compared],
        "settings": _as_text(({factor.name: factor.values} if factor else {}) | settings),
        "made": _as_text(factors.differing([_made(run) for run in compared])),
        "commands": [(run.name, view.command(run.record)) for run in compared],
        "deviations": deviations,
    }


def _is_confounded(factor: Factor, settings: Iterable[str]) -> bool:
    """Whether what the contrasts compare differs between the runs in more than the factor."""
    not_counted = (
        "seeds",
        "contrasts.",
        *(["shape."] if factor.name == factors.PARAMETERS else []),
    )
    return any(key != factor.name and not key.startswith(not_counted) for key in settings)


def _labels(compared: Sequence[Run], factor: Factor | None) -> list[str]:
    """The runs' names, with the factor where there is one: "world 1 (shape.num_layers = 4)"."""
    if factor is None:
        return [run.name for run in compared]
    return [
        f"{run.name} ({factor.name} = {compact(value)})"
        for run, value in zip(compared, factor.values, strict=True)
    ]


def _verdict(run: Run) -> str:
    return view.answer(run.tables, run.config)["verdict"].rstrip(":")


def _contrast(
    name: str, contrasts: pd.DataFrame, factor: Factor | None, primary: str
) -> dict[str, Any]:
    """A contrast of all runs, for the macros of levels."""
    rows = _levels(contrasts, "name", name, factor)
    asks = ": the question" if name == primary else ""
    return {"title": f"{name}, {rows[0]['weights']}{asks}", "rows": rows}


def _levels(table: pd.DataFrame, column: str, value: str, factor: Factor | None) -> list[dict]:
    """A row a run, with its label, and in notes what stands below that."""
    rows = []
    for row in table[table[column] == value].to_dict("records"):
        notes = [f"{factor.name} = {compact(row['x'])}"] if factor else []
        notes += ["its premise fails"] if row["fails"] else []
        rows.append(row | {"label": row["run"], "notes": notes})
    return rows


def _made(run: Run) -> dict[str, Any]:
    """What a run was made from and with, its config aside."""
    record = run.record
    return {
        "model's sha256": record.model.sha256[:_SHOWN],
        "probes' sha256": {name: sha[:_SHOWN] for name, sha in record.probes.items()},
        "numerics": record.numerics,
        "planned with": record.environment,
    }


def _as_text(differences: Mapping[str, Sequence[Any]]) -> list[tuple[str, list[str]]]:
    return [(key, list(map(as_text, values))) for key, values in differences.items()]


def _line(run: Run, label: str) -> str:
    answer = view.answer(run.tables, run.config)
    failing = " The premise fails." if _fails(run) else ""
    return f"{label}: {answer['verdict']} {answer['sentence']}{failing}".replace(MINUS, "-")
