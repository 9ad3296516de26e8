"""Writes a run's report: index.html, its tables as CSV, its figures as SVG, and a summary.

Only what lies in the run directory goes in, and no date, duration or path: the same run writes the
same bytes.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from vcjax import files
from vcjax.report import figures, tables, view
from vcjax.report.reading import missing_answers, read_answers, read_curves, read_run


def write_report(workdir: Path) -> list[str]:
    """Write `workdir/report/` from what the run left in `workdir`.

    Probe files that were scored after the run (folders in `workdir/probes/`) get a section each
    and stay exploratory.

    Returns:
      Five lines for the terminal: the answer, what it is conditional on, then the arms with their
      rates and margins.

    Raises:
      InputError: a file of the run is missing or broken, or its answers cannot be compared.
    """
    run = read_run(workdir)
    config = run["config"]
    answers = read_answers(workdir / "probes", run)
    curves = read_curves(workdir, run)
    of_run = _probe_tables(answers, config)
    training = tables.training(curves, run["plan"]).round(6)
    added = _added_probes(workdir, run)
    drawings = {}
    if view.primary(of_run):
        drawings["arms"] = figures.arms_figure(
            of_run["arms"], of_run["contrasts"], of_run["seeds"], config
        )
    if len(curves):
        drawings["training"] = figures.training_figure(curves, config)
    shown = {
        "run": run,
        "answer": view.answer(of_run, config),
        "asked_before": view.asked_before(run),
        "example": view.example(answers, config),
        "figures": {name: Markup(svg) for name, svg in drawings.items()},
        "groups": view.groups(of_run, config),
        "training": training.to_dict("records"),
        "probe_files": of_run["probe_files"].to_dict("records"),
        "added": added,
        "recipe": dict(_flat(config)),
        "plan": dict(_flat(run["plan"])),
        "made_with": dict(_flat({k: v for k, v in run.items() if k not in ("config", "plan")})),
    }
    page = _environment().get_template("page.html.jinja").render(shown)

    folder = workdir / "report"
    for name, table in (of_run | {"training": training, "curves": curves.round(6)}).items():
        files.write_text(folder / f"{name}.csv", _csv(table))
    for probes in added:
        for name, table in probes["tables"].items():
            files.write_text(folder / f"{probes['name']}-{name}.csv", _csv(table))
    for name, svg in drawings.items():
        files.write_text(folder / f"{name}.svg", svg)
    files.write_text(folder / "index.html", page)
    return view.summary(of_run, config)


def _probe_tables(answers: pd.DataFrame, config: dict) -> dict[str, pd.DataFrame]:
    """Every table of one set of answers; rounded here, once, so that page and CSV agree."""
    sums = tables.sums(answers, config)
    made = {
        "arms": tables.levels(sums, config, "arm"),
        "contrasts": tables.levels(sums, config, "contrast"),
        "domains": tables.by_cluster(sums, "domain"),
        "seeds": tables.by_cluster(sums, "seed"),
        "positions": tables.positions(answers, config),
        "probe_files": tables.probe_files(answers),
        "answers": answers,
    }
    return {name: table.round(6) for name, table in made.items()}


def _added_probes(workdir: Path, run: dict) -> list[dict]:
    """What was scored after the run, by folder name. A folder that is not complete yet is shown
    as such and does not stop the report of the run itself."""
    found = []
    for folder in sorted(path for path in (workdir / "probes").iterdir() if path.is_dir()):
        missing = missing_answers(folder, run)
        made: dict[str, pd.DataFrame] = {}
        if not missing:
            made = _probe_tables(read_answers(folder, run), run["config"])
            made["contrasts"]["role"] = "exploratory"
        found.append(
            {
                "name": folder.name,
                "missing": missing,
                "tables": made,
                "groups": view.groups(made, run["config"]) if made else [],
                "files": made["probe_files"].to_dict("records") if made else [],
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
    environment.filters |= {"signed": view.signed, "plain": _plain, "interval": view.interval}
    return environment


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
