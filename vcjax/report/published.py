"""Figures that others published of the same experiment, beside those of a run.

They come from a TOML file that the config names (`configs/study/cheese.toml` is one), and are kept
in the run's record:

    title = "..."                           what was measured
    [sources.paper]                         a column: who measured
    label = "The paper"
    how = "..."                             how, as a sentence

    [[measures]]
    title = "..."
    differs = "..."                         what the run measures otherwise, as sentences
    value = "america"                       the rate of its option against one with no value;
    evaluation = "vcjax/a_task"             or the mean of a score of a task of Inspect
    score = "verdict"
    answers = {paper = 400}                 how many a rate is of
    [measures.arms.baseline]                figures of an arm, by column
    paper = 0.38
    other = {value = 0.41, low = 0.36, high = 0.46}
    [measures.contrasts.america_adds]       and of a contrast
    paper = 0.19

A rate without an interval of its own gets Wilson's, from the number of answers alone.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from ml_collections import ConfigDict
from pydantic import BeforeValidator, Field
from scipy import stats

from vcjax.data.fields import Fields, Text, checked
from vcjax.errors import InputError
from vcjax.report.formatting import signed
from vcjax.report.statistics import CONFIDENCE
from vcjax.report.tables import in_group
from vcjax.schema.check import check_names

COLUMNS = [
    *("measure", "of", "name", "source", "value", "low", "high", "seeds_low", "seeds_high"),
]
OURS = "This run"
_ENDS = ("low", "high", "seeds_low", "seeds_high")


class _Source(Fields):
    label: Text
    how: Text


class _Figure(Fields):
    value: float
    low: float | None = None
    high: float | None = None


# Arm or contrast -> source -> figure; a number alone is its value.
_Number = BeforeValidator(lambda given: given if isinstance(given, dict) else {"value": given})
_Figures = dict[str, dict[str, Annotated[_Figure, _Number]]]


class _Measure(Fields):
    title: Text
    differs: Text
    value: Text = ""
    evaluation: Text = ""
    score: Text = ""
    answers: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    arms: _Figures = Field(default_factory=dict)
    contrasts: _Figures = Field(default_factory=dict)


class _Published(Fields):
    title: Text
    sources: dict[str, _Source]
    measures: list[_Measure]


def read(path: Path, config: ConfigDict) -> dict[str, Any]:
    """The content of a file, as JSON. Raises InputError where it does not have the form above, or
    names an arm, contrast or source that there is not."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: {error}; expected a TOML file of published figures") from None
    published = checked(_Published, content, str(path))
    for number, measure in enumerate(published.measures):
        where = f"{path}: measures[{number}]"
        if bool(measure.value) == bool(measure.evaluation and measure.score):
            raise InputError(f"{where}: give a value, or an evaluation and its score")
        check_names(f"{where}.answers", "source", measure.answers, published.sources)
        for of in ("arms", "contrasts"):
            figures: _Figures = getattr(measure, of)
            check_names(f"{where}.{of}", of[:-1], figures, config[of])
            for name, by_source in figures.items():
                check_names(f"{where}.{of}.{name}", "source", by_source, published.sources)
                for source, figure in by_source.items():
                    if source in measure.answers and of == "arms" and not 0 <= figure.value <= 1:
                        raise InputError(
                            f"{where}.{of}.{name}.{source}: {figure.value:g} is no rate; give one "
                            "from 0 to 1, or no answers"
                        )
    return published.model_dump()


def table(published: Mapping[str, Any], tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a figure: `COLUMNS`.

    Args:
      published: what `read` returns; empty where the config names no file.
      tables: those of `report.tables.make_tables`, and evaluations.

    Returns:
      of: arm or contrast. source: who measured. low and high: of a run's figure the interval over
      domains or clusters; missing where there is none.
    """
    rows = []
    for measure in published.get("measures", ()):
        for of in ("arms", "contrasts"):
            for name, by_source in measure[of].items():
                about = {"measure": measure["title"], "of": of[:-1], "name": name}
                for source, figure in by_source.items():
                    answers = measure["answers"].get(source) if of == "arms" else None
                    label = published["sources"][source]["label"]
                    rows.append(about | {"source": label} | _published(figure, answers))
                rows += [about | own for own in _own(measure, of, name, tables)]
    figures = pd.DataFrame(rows, columns=COLUMNS)
    return figures.astype(dict.fromkeys(("value", *_ENDS), float))


def _published(figure: dict[str, Any], answers: int | None) -> dict[str, Any]:
    if answers is None or figure["low"] is not None:
        return figure
    value = figure["value"]
    count = stats.binomtest(round(value * answers), answers)
    interval = count.proportion_ci(CONFIDENCE, method="wilson")
    return {"value": value, "low": interval.low, "high": interval.high}


def _own(
    measure: dict[str, Any], of: str, name: str, tables: dict[str, pd.DataFrame]
) -> Iterator[dict[str, Any]]:
    """The run's figures: one, or of an evaluation one for each of its settings."""
    rows = tables.get("evaluations" if measure["evaluation"] else of, pd.DataFrame())
    if rows.empty:
        return
    if measure["value"]:
        group = {"scope": "out_of_domain", "split": "held_out", "contrast": "neutral"}
        own = rows[in_group(rows, group | {"points_to": measure["value"]})]
        number, cluster = "rate", "domains"
    else:
        is_asked = (rows["task"] == measure["evaluation"]) & (rows["key"] == measure["score"])
        own = rows[is_asked & (rows["of"] == of[:-1])]
        number, cluster = "mean", "clusters"
    several = measure["evaluation"] and own["evaluation"].nunique() > 1
    for row in own[own["name"] == name].to_dict("records"):
        source = f"{OURS}, {row['evaluation']}" if several else OURS
        if limit := row.get("limit"):
            source += f", limited to {limit} samples"
        yield {
            "source": source,
            "value": row[number],
            "low": row[f"{number}_{cluster}_low"],
            "high": row[f"{number}_{cluster}_high"],
            "seeds_low": row[f"{number}_seeds_low"],
            "seeds_high": row[f"{number}_seeds_high"],
        }


def shown(published: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """What the page says of `table`; empty where the config names no file."""
    if not published:
        return {}
    return {
        "title": published["title"],
        "sources": [*published["sources"].values()],
        "measures": [
            _measure(measure, table[table["measure"] == measure["title"]], published)
            for measure in published["measures"]
        ],
    }


def _measure(
    measure: dict[str, Any], rows: pd.DataFrame, published: Mapping[str, Any]
) -> dict[str, Any]:
    labels = [source["label"] for source in published["sources"].values()]
    present = {*rows["source"]}
    columns = [label for label in labels if label in present]
    columns += sorted(present - {*labels}) or [OURS]
    cells = {(row["of"], row["name"], row["source"]): _cell(row) for row in rows.to_dict("records")}
    named = rows[["of", "name"]].drop_duplicates().itertuples(index=False)
    return {
        "title": measure["title"],
        "differs": measure["differs"],
        "columns": columns,
        "rows": [
            (name, [cells.get((of, name, column)) or _absent(column) for column in columns])
            for of, name in named
        ],
    }


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    """A figure and its intervals as text."""
    sign, own = row["of"] == "contrast", row["source"].startswith(OURS)
    low, high, seeds_low, seeds_high = (
        "" if math.isnan(row[end]) else _number(row[end], sign) for end in _ENDS
    )
    return {
        "value": _number(row["value"], sign),
        "interval": f"{low} to {high}" if low else "" if own else "interval not known",
        "seeds": f"{seeds_low} to {seeds_high}" if seeds_low else "",
    }


def _absent(column: str) -> dict[str, str]:
    own = column.startswith(OURS)
    return {"value": "not measured" if own else "", "interval": "", "seeds": ""}


def _number(value: float, sign: bool) -> str:
    return signed(value) if sign else f"{value:.2f}"
