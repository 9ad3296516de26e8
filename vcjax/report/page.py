"""Writes a run's report: index.html, its tables as CSV, its figures as SVG, and a summary.

Only what lies in the run directory goes in, and no date, duration or path: the same run writes the
same bytes.
"""

import dataclasses
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from etils import epath
from markupsafe import Markup

from vcjax import record
from vcjax.record import Record
from vcjax.report import controls, corpus, figures, tables, view
from vcjax.report.reading import (
    check_answered,
    missing_answers,
    read_answers,
    read_curves,
    read_run,
)
from vcjax.workdir import files

_NO_COMMAND = ("--config=configs/NAME.py",)  # a run that Python code called


def write_report(workdir: epath.Path, added_probes: str | None = None) -> list[str]:
    """Write `workdir/report/` from what the run left in `workdir`.

    Probe files that were scored after the run (folders in `workdir/probes/`) get a section each
    and stay exploratory.

    Args:
      added_probes: a folder of `workdir/probes/` to sum up, in place of the run's own probes.

    Returns:
      Five lines for the terminal: the answer, what it is conditional on, then the arms with their
      rates and margins.

    Raises:
      InputError: a file of the run is missing, broken or of another training, or its answers cannot
        be compared.
    """
    run = read_run(workdir)
    config = run.config
    check_answered(workdir, run)
    answers, texts = read_answers(workdir / "probes", run)
    curves = read_curves(workdir, run)
    of_run, compared = tables.of_answers(answers, texts, config)
    of_run["training"] = tables.training(curves, run.plan).round(6)
    of_run["curves"] = curves.round(6)
    added = _added_probes(workdir, run)
    cards = corpus.cards(workdir, run.plan)
    drawings = {}
    if view.primary(of_run):
        drawings["arms"] = figures.arms_figure(
            of_run["arms"], of_run["contrasts"], of_run["seeds"], config
        )
    if len(curves):
        drawings["training"] = figures.training_figure(curves, config)
    numbers, groups = view.numbers(of_run, config), view.groups(of_run, config)
    shown = {
        "run": run,
        "answer": view.answer(of_run, config),
        "ability": view.ability(of_run, config),
        "numbers": numbers,
        "asked_before": view.asked_before(run),
        "example": view.example(answers, config),
        "figures": {name: Markup(svg) for name, svg in drawings.items()},
        "arms": view.arms(config),
        "contrasts": view.contrasts(config, numbers),
        "compared": compared,
        "groups": groups,
        "liking": view.liking(groups, config),
        "explicitness": view.by_explicitness(of_run, config),
        "installed": view.installed(of_run, config),
        "training": view.training_by_chain(of_run["training"]),
        "stages": of_run["training"].to_dict("records"),
        "flips": of_run["flips"].to_dict("records"),
        "flip_arms": controls.compared(config),
        "corpora": cards,
        "corpus_rows": corpus.side_by_side(cards),
        "probe_files": of_run["probe_files"].to_dict("records"),
        "texts": of_run["perplexity"].drop_duplicates("file").to_dict("records")
        if len(of_run["perplexity"])
        else [],
        "added": added,
        "recipe": dict(_flat(config)),
        "command": shlex.join(["python", "-m", "vcjax.main", *(run.command or _NO_COMMAND)]),
        "made_with": _made_with(run),
        "trained_by": _trained_by(workdir, run),
        "tables": [name for name, table in of_run.items() if len(table)],
    }
    page = _environment().get_template("page.html.jinja").render(shown)

    written = {f"{name}.svg": svg for name, svg in drawings.items()}
    written |= {f"{name}.csv": _csv(table) for name, table in of_run.items() if len(table)}
    for probes in added:
        for name, table in probes["tables"].items():
            if len(table):
                written[f"{probes['name']}-{name}.csv"] = _csv(table)
    folder = workdir / "report"
    for name, text in written.items():
        files.write_text(folder / name, text)
    files.write_text(folder / "index.html", page)
    for path in folder.iterdir():
        if path.suffix in (".csv", ".svg") and path.name not in written:  # of an earlier setting
            path.unlink()
    if added_probes is None:
        return view.summary(of_run, config)
    [shown_probes] = [probes for probes in added if probes["name"] == added_probes]
    return view.summary_of_added(shown_probes["tables"], config)


def _made_with(run: Record) -> dict[str, str]:
    """Model, probes and analysis by their hashes, and the environment that planned the run."""
    return dict(
        _flat(
            {
                "model": dataclasses.asdict(run.model),
                "probes": run.probes,
                "analysis": run.analysis,
                "numerics": run.numerics,
                "planned with": run.environment,
            }
        )
    )


def _trained_by(workdir: epath.Path, run: Record) -> list[dict[str, Any]]:
    """What trained the stages: each environment once, with the names of its stages.

    A stage that several environments worked on is named with each of them.
    """
    stages_of: dict[str, list[str]] = {}
    for fingerprint, environments in record.trained_by(workdir, run).items():
        for environment in environments:
            key = json.dumps(environment, sort_keys=True)
            stages_of.setdefault(key, []).append(run.plan.title(fingerprint))
    return [{"stages": titles, "with": json.loads(key)} for key, titles in stages_of.items()]


def _added_probes(workdir: epath.Path, run: Record) -> list[dict]:
    """What was scored after the run, by folder name. A folder that is not complete yet is shown
    as such and does not stop the report of the run itself."""
    found = []
    for folder in sorted(path for path in (workdir / "probes").iterdir() if path.is_dir()):
        missing = missing_answers(folder, run)
        made: dict[str, pd.DataFrame] = {}
        if not missing:
            read = read_answers(folder, run)
            made, _ = tables.of_answers(*read, run.config, asked_before=False)
        chosen = "arms" in made
        found.append(
            {
                "name": folder.name,
                "missing": missing,
                "tables": made,
                "groups": view.groups(made, run.config) if chosen else [],
                "files": made["probe_files"].to_dict("records") if chosen else [],
                "texts": made["perplexity"].to_dict("records") if made else [],
            }
        )
    return found


def _flat(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested dicts as ("a.b.c", value as JSON, strings as they are)."""
    if isinstance(tree, dict) and tree:
        for key, branch in tree.items():
            yield from _flat(branch, f"{path}.{key}" if path else key)
    else:
        yield path, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def _plain(value: str | float) -> str:
    """A rate, a loss or a count for the page; nothing where there is none."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "signed": view.signed,
        "plain": _plain,
        "interval": view.interval,
        "p_value": view.p_value,
    }
    return environment


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
