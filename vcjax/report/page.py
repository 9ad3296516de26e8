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

from vcjax.plan import Plan
from vcjax.probes import overlap
from vcjax.record import Record, trained_by
from vcjax.report import (
    by_premise,
    card,
    card_cells,
    corpora,
    corpus_card,
    coverage,
    curves,
    design,
    evaluation_files,
    evaluations,
    fewer,
    figures,
    formatting,
    output,
    premise,
    published,
    ranking,
    sources,
    spoken,
    taught,
    told_apart,
    view,
)
from vcjax.report.corpora import Corpus
from vcjax.report.curves import Curve
from vcjax.report.evaluation_files import Evaluation
from vcjax.report.formatting import compact
from vcjax.report.reading import (
    Answers,
    check_answered,
    missing_answers,
    read_answers,
    read_curves,
    read_ordered,
)
from vcjax.report.tables import headline, in_group, make_tables, training
from vcjax.report.transcripts.pages import pages

# Tables and config of a report's main part, which is without what its curves alone are about.
Part = tuple[dict[str, pd.DataFrame], dict[str, Any]]


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
    read = read_answers(workdir / "probes", record, record.probes)
    answers = read.choices
    losses = read_curves(workdir, record)
    tables, corrected = make_tables(read, config)
    documents = taught.values(workdir, record)
    evaluated = evaluation_files.read(workdir)
    asked = evaluations.of_config(evaluated, record)
    tables["card"] = card.table(read, tables["perplexity"], config, documents, asked).round(6)
    tables["pretrained"] = _of_several(by_premise.models(tables, config))
    tables["by_premise"] = by_premise.sides(tables["pretrained"]).round(6)
    all_curves, main_config = curves.read(tables, config), curves.without(config)
    main = curves.rows_of(tables, main_config), main_config
    tables["ranking"] = ranking.of_equal_roles(*main).round(6)
    tables["training"] = training(losses, record.plan).round(6)
    tables["sources"] = sources.table(record.plan)
    tables["curves"] = losses.round(6)
    tables["factors"] = curves.table(all_curves)
    tables["fewer"] = fewer.table([curve.name for curve in all_curves], tables, config).round(6)
    tables["spoken"] = spoken.table(read, config).round(6)
    plan = dataclasses.replace(
        record.plan, arms={arm: record.plan.arms[arm] for arm in main_config["arms"]}
    )
    texts = corpora.read(workdir, plan)
    tables["coverage"] = coverage.table(texts)
    tables["told_apart"] = told_apart.table(texts, main_config, _values(answers)).round(6)
    says = spoken.shown(read, tables["spoken"], config)
    tables["evaluations"] = evaluations.table(evaluated, record).round(6)
    tables["published"] = published.table(record.published, tables).round(6)
    added = _added_probes(workdir, record, main_config, documents)
    svgs = _figures(main, losses, all_curves)
    page = _page(
        *(workdir, record, plan, answers, tables, main, corrected, all_curves, svgs),
        *(texts, says, added, evaluated),
    )

    contents = {f"{name}.svg": svg for name, svg in svgs.items()}
    contents |= output.csv(tables)
    contents |= _transcripts("transcripts", read, config)
    for probes in added:
        named = {f"{probes['name']}-{name}": table for name, table in probes["tables"].items()}
        contents |= output.csv(named) | probes["transcripts"]
    output.write(workdir / "report", page, contents)
    if added_probes is None:
        shown = view.few_arms(config)
        return view.summary(tables, config) + spoken.summary(tables["spoken"], shown)
    [summarised] = [probes for probes in added if probes["name"] == added_probes]
    of_spoken = spoken.summary(summarised["tables"]["spoken"], view.few_arms(config))
    return view.summary_of_added(summarised["tables"], config) + of_spoken


def _values(answers: pd.DataFrame) -> set[str]:
    """The values that choices are about."""
    if answers.empty:
        return set()
    return {*answers["value_0"].dropna(), *answers["value_1"].dropna()}


def _transcripts(folder: str, read: Answers, config: dict) -> dict[str, str]:
    """File name -> HTML; empty where nothing was said."""
    transcribed = spoken.transcribed(read)
    of_pages = pages(transcribed, config) if len(transcribed) else {}
    return {f"{folder}/{name}": html for name, html in of_pages.items()}


def _figures(main: Part, losses: pd.DataFrame, all_curves: list[Curve]) -> dict[str, str]:
    """Name -> SVG text; a figure of which nothing was measured is missing."""
    tables, config = main
    svgs = {}
    if view.primary(tables):
        arms, contrasts, seeds = (tables[name] for name in ("arms", "contrasts", "seeds"))
        svgs["arms"] = figures.arms_figure(arms, contrasts, seeds, config)
    for curve in all_curves:
        file, primary = f"curve-{curve.name}", curve.effects["contrast"] == config["primary"]
        question = next(iter(curve.effects.loc[primary, "name"]), None)
        svgs[file] = figures.factor_figure(file, curve.name, curve.effects, curve.premise, question)
    if len(tables["pretrained"]):
        models, sides = tables["pretrained"], tables["by_premise"]
        svgs["by-premise"] = figures.by_premise_figure(models, sides, config["primary"])
    if len(losses):
        svgs["training"] = figures.training_figure(losses, config)
    return svgs


def _page(
    workdir: epath.Path,
    record: Record,
    plan: Plan,
    answers: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    main: Part,
    corrected: dict[str, int],
    all_curves: list[Curve],
    svgs: dict[str, str],
    read: dict[str, Corpus],
    says: dict[str, Any],
    added: list[dict],
    evaluated: list[Evaluation],
) -> str:
    """index.html. plan: of the main part's arms; read: their corpora; says: what `spoken.shown`
    returns; added: what `_added_probes` returns."""
    config, main_config = record.config, main[1]
    numbers, groups = view.numbers(*main), view.groups(*main)
    trained = tables["training"]
    cards = corpus_card.cards(read, config)
    texts = tables["perplexity"]
    variables = {
        "record": record,
        "answer": view.answer(tables, config),
        "premise": premise.premise(tables, config),
        "ability": view.ability(*main),
        "numbers": numbers,
        "is_grid": design.is_grid(main_config),
        "deviations": view.deviations(record),
        "example": view.example(answers, config),
        "figures": {name: Markup(svg) for name, svg in svgs.items()},
        "arms": view.arms(main_config),
        "contrasts": view.contrasts(main_config, numbers),
        "corrected": corrected,
        "ranking": ranking.parts(tables["ranking"]),
        "groups": groups,
        "liking": view.liking(groups, main_config),
        "explicitness": view.by_explicitness(tables, main_config),
        "card": card_cells.cells(*main),
        "curves": [_curve_section(curve, tables["fewer"]) for curve in all_curves],
        "by_premise": tables["by_premise"].to_dict("records"),
        "curve_arms": _curve_arms(tables, config, main_config),
        "training": view.training_by_chain(trained[trained["fingerprint"].isin(plan.chains())]),
        "stages": tables["training"].to_dict("records"),
        "sources": sources.over_seeds(tables["sources"]),
        "flips": _records(tables, "flips"),
        "flip_arms": design.compared(config),
        "corpora": cards,
        "corpus_rows": corpus_card.side_by_side(cards, tables["coverage"]),
        "told_apart": tables["told_apart"].to_dict("records"),
        "probe_files": _records(tables, "probe_files"),
        "texts": texts.drop_duplicates("file").to_dict("records") if len(texts) else [],
        "spoken": says,
        "evaluations": evaluations.shown(evaluated, tables["evaluations"], record),
        "published": published.shown(record.published, tables["published"]),
        "added": added,
        "recipe": dict(formatting.flat(config)),
        "command": view.command(record),
        "hashes": _hashes_and_versions(record),
        "trained_by": _trained_by(workdir, record),
        "tables": [name for name, table in tables.items() if len(table)],
    }
    return output.page("page.html.jinja", variables)


def _of_several(models: pd.DataFrame) -> pd.DataFrame:
    """What `by_premise.models` returns, where more than one arm was pretrained: else the seeds of
    one level are all that there is."""
    return models if len(models) and models["arm"].nunique() > 1 else pd.DataFrame()


def _records(tables: dict[str, pd.DataFrame], name: str) -> list[dict]:
    """The rows of a table; none where no choice was scored."""
    return tables[name].to_dict("records") if name in tables else []


def _curve_section(curve: Curve, times: pd.DataFrame) -> dict[str, Any]:
    """What the page shows of a curve beside its figure. times: what `fewer.table` returns."""
    effects, people = curve.effects, curve.premise
    of_curve = times[times["curve"] == curve.name].to_dict("records")
    return {
        "name": curve.name,
        "fewer": [fewer.as_text(row) for row in of_curve],
        "fails": bool(effects["fails"].any()),
        "has_zero": bool((effects["x"] == 0).any()) and figures.is_logarithmic(effects["x"]),
        "effects": [
            _levels(name, rows, "contrast") for name, rows in effects.groupby("name", sort=False)
        ],
        "people": [
            _levels(f"Choices {whose}{series and f', {series}'}", rows, "name")
            for (whose, series), rows in people.groupby(["people", "series"], sort=False)
        ],
    }


def _curve_arms(tables: dict[str, pd.DataFrame], config: dict, main_config: dict) -> dict[str, Any]:
    """The arms that curves alone are about: what the page says of arms. Empty where there is
    none, or none was probed."""
    arms = [arm for arm in view.arms(config) if arm["name"] not in main_config["arms"]]
    if not arms or "arms" not in tables:
        return {}
    main = tables["arms"][in_group(tables["arms"], headline(config))]
    of_all = card_cells.cells(tables, config)
    rows = [row for row in of_all.get("rows", []) if row[0] not in main_config["arms"]]
    return {
        "arms": arms,
        "rows": main[~main["name"].isin([*main_config["arms"]])].to_dict("records"),
        "card": of_all | {"rows": rows} if of_all else {},
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


def _added_probes(
    workdir: epath.Path, record: Record, main_config: dict, documents: dict[str, str]
) -> list[dict]:
    """The probe files that were scored after the run, one a folder. documents: what `taught.values`
    returns.

    A folder that is not complete is shown as that; it does not stop the report of the run.
    """
    sections = []
    probes = workdir / "probes"
    folders = [path for path in probes.iterdir() if path.is_dir()] if probes.exists() else []
    for folder in sorted(folders):
        missing = missing_answers(folder, record)
        tables: dict[str, pd.DataFrame] = {}
        asked: set[str] = set()  # names of files
        says: dict[str, Any] = {}
        transcripts: dict[str, str] = {}
        if not missing:
            read = read_answers(folder, record)
            tables, _ = make_tables(read, record.config, preregistered=False)
            asked = {name for answers in read if len(answers) for name in answers["file"].unique()}
            tables["spoken"] = spoken.table(read, record.config).round(6)
            says = spoken.shown(read, tables["spoken"], record.config, folder.name)
            if says:
                new = card.table(read, tables["perplexity"], record.config, documents)
                tables["card"] = new.round(6)
            transcripts = _transcripts(f"transcripts/{folder.name}", read, record.config)
        own = curves.rows_of(tables, main_config), main_config
        has_choices = "arms" in tables
        sections.append(
            {
                "name": folder.name,
                "missing": missing,
                "asked": sorted(asked),
                "spoken": says,
                "card": card_cells.cells(*own) if says else {},
                "transcripts": transcripts,
                "overlap": overlap.read(folder),
                "tables": tables,
                "groups": view.groups(*own) if has_choices else [],
                "files": tables["probe_files"].to_dict("records") if has_choices else [],
                "texts": own[0]["perplexity"].to_dict("records") if tables else [],
            }
        )
    return sections
