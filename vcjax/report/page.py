"""Writes a run's report: index.html, its tables as CSV, its figures as SVG, and a summary.

The report is made from the run directory alone and has no dates, durations or paths, so the same
run gives the same bytes.
"""

import dataclasses
import json
from typing import Any

import pandas as pd
from etils import epath
from markupsafe import Markup

from vcjax.record import Record, trained_by
from vcjax.report import (
    corpus_card,
    curves,
    design,
    fewer,
    figures,
    formatting,
    output,
    premise,
    ranking,
    view,
)
from vcjax.report.curves import Curve
from vcjax.report.formatting import compact
from vcjax.report.reading import (
    check_answered,
    missing_answers,
    read_answers,
    read_curves,
    read_ordered,
)
from vcjax.report.tables import headline, in_group, make_tables, training


def write_report(workdir: epath.Path, added_probes: str | None = None) -> list[str]:
    """Writes `workdir/report/` from the record, answers and losses in `workdir`.

    Probe files that were scored after the run (folders in `workdir/probes/`) get a section each
    and stay exploratory.

    Args:
      added_probes: the name of the folder in `workdir/probes/` that the returned summary is of;
        None: the run's own probes.

    Returns:
      The summary, lines for the terminal: the answer, what it is conditional on, then the arms
      with their rates and margins.

    Raises:
      InputError: a file of the run is missing, broken or of another training, or its answers cannot
        be compared.
    """
    record = read_ordered(workdir)
    config = record.config
    check_answered(workdir, record)
    answers, texts = read_answers(workdir / "probes", record)
    losses = read_curves(workdir, record)
    tables, corrected = make_tables(answers, texts, config)
    of_config, shown = curves.read(tables, config), curves.apart(config)
    own = curves.rows_of(tables, shown)
    tables["ranking"] = ranking.of_equal_roles(own, shown).round(6)
    tables["training"] = training(losses, record.plan).round(6)
    tables["curves"] = losses.round(6)
    tables["factors"] = curves.table(of_config)
    added = _added_probes(workdir, record, shown)
    svgs = _figures(own, losses, of_config, shown)
    page = _page(workdir, record, answers, tables, own, shown, corrected, of_config, svgs, added)

    contents = {f"{name}.svg": svg for name, svg in svgs.items()}
    contents |= output.csv(tables)
    for probes in added:
        own = probes["tables"].items()
        contents |= output.csv({f"{probes['name']}-{name}": table for name, table in own})
    output.write(workdir / "report", page, contents)
    if added_probes is None:
        return view.summary(tables, config)
    [summarised] = [probes for probes in added if probes["name"] == added_probes]
    return view.summary_of_added(summarised["tables"], config)


def _figures(
    own: dict[str, pd.DataFrame], losses: pd.DataFrame, of_config: list[Curve], shown: dict
) -> dict[str, str]:
    """Name -> SVG text; a figure of which nothing was measured is missing.

    own, shown: tables and config without what curves alone are about. of_config: the curves.
    """
    svgs = {}
    if view.primary(own):
        svgs["arms"] = figures.arms_figure(own["arms"], own["contrasts"], own["seeds"], shown)
    for curve in of_config:
        file, primary = f"curve-{curve.name}", curve.effects["contrast"] == shown["primary"]
        question = next(iter(curve.effects.loc[primary, "name"]), None)
        people = curves.shown_premise(curve)
        svgs[file] = figures.factor_figure(file, curve.name, curve.effects, people, question)
    if len(losses):
        svgs["training"] = figures.training_figure(losses, shown)
    return svgs


def _page(
    workdir: epath.Path,
    record: Record,
    answers: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    own: dict[str, pd.DataFrame],
    shown: dict,
    corrected: dict[str, int],
    of_config: list[Curve],
    svgs: dict[str, str],
    added: list[dict],
) -> str:
    """index.html. own, shown, of_config: as of `_figures`. added: what `_added_probes` returns."""
    config = record.config
    numbers, groups = view.numbers(own, shown), view.groups(own, shown)
    arms = {arm: record.plan.arms[arm] for arm in shown["arms"]}
    plan = dataclasses.replace(record.plan, arms=arms)
    trained = tables["training"]
    cards = corpus_card.cards(workdir, plan)
    texts = tables["perplexity"]
    variables = {
        "record": record,
        "answer": view.answer(tables, config),
        "premise": premise.premise(tables, config),
        "ability": view.ability(own, shown),
        "numbers": numbers,
        "deviations": view.deviations(record),
        "example": view.example(answers, config),
        "figures": {name: Markup(svg) for name, svg in svgs.items()},
        "arms": view.arms(shown),
        "contrasts": view.contrasts(shown, numbers),
        "corrected": corrected,
        "ranking": ranking.parts(tables["ranking"]),
        "groups": groups,
        "liking": view.liking(groups, shown),
        "explicitness": view.by_explicitness(tables, shown),
        "installed": view.installed(own, shown),
        "curves": [_curve_section(curve, tables, config) for curve in of_config],
        "of_curves": _arms_of_curves(tables, config, shown),
        "training": view.training_by_chain(trained[trained["fingerprint"].isin(plan.chains())]),
        "stages": tables["training"].to_dict("records"),
        "flips": tables["flips"].to_dict("records"),
        "flip_arms": design.compared(config),
        "corpora": cards,
        "corpus_rows": corpus_card.side_by_side(cards),
        "probe_files": tables["probe_files"].to_dict("records"),
        "texts": texts.drop_duplicates("file").to_dict("records") if len(texts) else [],
        "added": added,
        "recipe": dict(formatting.flat(config)),
        "command": view.command(record),
        "hashes": _hashes_and_versions(record),
        "trained_by": _trained_by(workdir, record),
        "tables": [name for name, table in tables.items() if len(table)],
    }
    return output.page("page.html.jinja", variables)


def _curve_section(curve: Curve, tables: dict[str, pd.DataFrame], config: dict) -> dict[str, Any]:
    """What the page shows of a curve beside its figure."""
    seeds = tables["seeds"][in_group(tables["seeds"], headline(config))]
    effects, people = curve.effects, curves.shown_premise(curve)
    return {
        "name": curve.name,
        "fewer": fewer.sentence(curve.name, config["curves"][curve.name], seeds),
        "fails": bool(effects["fails"].any() or (len(people) and people["fails"].any())),
        "has_zero": bool((effects["x"] == 0).any()) and figures.is_logarithmic(effects["x"]),
        "effects": [
            _levels(name, rows, "contrast") for name, rows in effects.groupby("name", sort=False)
        ],
        "people": [
            _levels(f"Choices {whose}{series and f', {series}'}", rows, "name")
            for (whose, series), rows in (
                people.groupby(["people", "series"], sort=False) if len(people) else ()
            )
        ],
    }


def _arms_of_curves(tables: dict[str, pd.DataFrame], config: dict, shown: dict) -> dict[str, Any]:
    """The arms that `shown`, the config of `curves.apart`, is without: what the page says of arms.
    Empty where there is none."""
    arms = [arm for arm in view.arms(config) if arm["name"] not in shown["arms"]]
    if not arms:
        return {}
    main = tables["arms"][in_group(tables["arms"], headline(config))]
    installed = view.installed(tables, config)
    return {
        "arms": arms,
        "rows": main[~main["name"].isin([*shown["arms"]])].to_dict("records"),
        "installed": installed
        | {"rows": [row for row in installed["rows"] if row[0] not in shown["arms"]]},
    }


def _levels(title: str, rows: pd.DataFrame, of: str) -> dict[str, Any]:
    """Rows of one series, for the macros of levels; of: the column that says of what they are."""
    return {
        "title": title,
        "rows": [
            row
            | {
                "label": compact(row["x"]),
                "notes": [row[of]] + (["its premise fails"] if row["fails"] else []),
            }
            for row in rows.to_dict("records")
        ],
    }


def _hashes_and_versions(record: Record) -> dict[str, str]:
    """The hashes of model, probes and analysis, and the environment that planned the run."""
    return dict(
        formatting.flat(
            {
                "model": dataclasses.asdict(record.model),
                "probes": record.probes,
                "analysis": record.analysis,
                "numerics": record.numerics,
                "planned with": record.environment,
            }
        )
    )


def _trained_by(workdir: epath.Path, record: Record) -> list[dict[str, Any]]:
    """Each environment that trained stages, with the titles of the stages that it worked on."""
    stages_of: dict[str, list[str]] = {}
    for fingerprint, environments in trained_by(workdir, record).items():
        for environment in environments:
            key = json.dumps(environment, sort_keys=True)
            stages_of.setdefault(key, []).append(record.plan.title(fingerprint))
    return [{"stages": titles, "environment": json.loads(key)} for key, titles in stages_of.items()]


def _added_probes(workdir: epath.Path, record: Record, shown: dict) -> list[dict]:
    """The probe files that were scored after the run, one a folder.

    A folder that is not complete is shown as that; it does not stop the report of the run.
    """
    sections = []
    for folder in sorted(path for path in (workdir / "probes").iterdir() if path.is_dir()):
        missing = missing_answers(folder, record)
        tables: dict[str, pd.DataFrame] = {}
        if not missing:
            answers, texts = read_answers(folder, record)
            tables, _ = make_tables(answers, texts, record.config, preregistered=False)
        own = curves.rows_of(tables, shown)
        has_choices = "arms" in tables
        sections.append(
            {
                "name": folder.name,
                "missing": missing,
                "tables": tables,
                "groups": view.groups(own, shown) if has_choices else [],
                "files": tables["probe_files"].to_dict("records") if has_choices else [],
                "texts": own["perplexity"].to_dict("records") if tables else [],
            }
        )
    return sections
