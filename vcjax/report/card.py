"""A card of each model: what training installed in it, and what it cost.

Each measure of an arm stands beside its paired difference to the arm's control: the arm that it
starts from, without training (`design.control`). Perplexity alone does not show the cost: a model
that reads as well as before may decide less often, or refuse less.

`config` is the run's, as JSON. Intervals are those of `statistics`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vcjax.report import design, spoken
from vcjax.report.reading import Answers
from vcjax.report.tables import GROUP, headline, in_group

COUNTS = ("probes", "domains", "seeds")


class Measured(NamedTuple):
    """A measure. of: on what, where that tells two columns apart. rows: one an arm, seed and probe,
    with its share (or where it is none, its score). own: of knowledge the value that is named, else
    ""."""

    measure: str
    of: str
    rows: pd.DataFrame
    own: str = ""


def table(
    read: Answers,
    perplexity: pd.DataFrame,
    config: dict,
    taught: Mapping[str, str],
    evaluated: Iterable[tuple[str, pd.DataFrame]] = (),
) -> pd.DataFrame:
    """One row a measure and arm.

    Args:
      perplexity: what `tables.perplexity` returns.
      taught: what `taught.values` returns. Only these arms have knowledge: the share of answers
        that name the value of their own documents.
      evaluated: what `evaluations.of_config` returns.

    Returns:
      Columns measure (of `card_cells.TITLES`), of, arm, control ("" where the arm is one), own (of
      knowledge: the value of the arm's documents), `COUNTS`, value, control_value, difference, and
      for c of domains and seeds difference_c_low and difference_c_high; missing where there is
      none. The value of a perplexity is its ratio to the control's.
    """
    measures = [*_all_measured(read, config, taught)]
    measures += [Measured("evaluation", title, scores) for title, scores in evaluated]
    rows = [
        _row(measured, answers, arm, control_of(arm, config))
        for measured in measures
        for answers in [spoken.by_arm(measured.rows)]
        for arm in config["arms"]
        if measured.own in ("", taught.get(arm))
    ]
    rows = [row for row in rows if row["probes"]]  # an evaluation need not have asked all arms
    for row in perplexity.to_dict("records"):
        of = {"measure": "perplexity_ratio", "of": row["file"], "arm": row["arm"]}
        control = control_of(row["arm"], config)
        rows.append(of | {"control": control, "seeds": row["seeds"], "value": row["ratio"]})
    table = pd.DataFrame(rows)
    # A perplexity has no count of probes, which must not turn the others into floats.
    return table.astype({name: "Int64" for name in COUNTS if name in table})


def _all_measured(read: Answers, config: dict, taught: Mapping[str, str]) -> Iterator[Measured]:
    if len(read.choices):
        yield from _of_choices(read.choices, config)
    if len(read.said):
        yield from _of_said(read.said, config, taught)
    if len(read.refusals):
        asked = spoken.refusals(spoken.verdicts(read.refusals))
        for request, rows in asked.groupby("contrast"):
            for verdict in spoken.MEASURES["refusal"]:
                yield Measured(f"{verdict}_{request}", "", rows.assign(share=rows[verdict]))


def _of_choices(choices: pd.DataFrame, config: dict) -> Iterator[Measured]:
    """Of choices that were scored."""
    for (scope, split, contrast, points_to), rows in choices.groupby(GROUP):
        of = points_to if split == "held_out" else f"{split}, {points_to}"
        if contrast in ("format", "premise"):
            yield Measured(contrast, of, rows.assign(share=rows["rate"]))
        elif scope == "in_domain":
            yield Measured("in_domain", of, rows.assign(share=rows["rate"]))
    rows = choices[in_group(choices, headline(config))]
    if len(rows):
        same = np.sign(rows["margin_first"]) == np.sign(rows["margin_second"])
        yield Measured("same_in_both_orders", "", rows.assign(share=same))


def _of_said(said: pd.DataFrame, config: dict, taught: Mapping[str, str]) -> Iterator[Measured]:
    """Of choices in free text."""
    decided = spoken.decided(said)
    choices = spoken.choices(decided, config["toward"])
    held_out = (choices["scope"] == "out_of_domain") & (choices["split"] == "held_out")
    rows = choices[held_out & choices["contrast"].isin(["values", "neutral"])]
    if len(rows):
        yield Measured("decided", "", rows.assign(share=1 - rows["undecided"]))
    asked = decided[decided["contrast"] == "knowledge"]
    for own in sorted({*taught.values()}) if len(asked) else ():
        rows = spoken.choices(asked, own)
        rows = rows[rows["points_to"] == own]
        if len(rows):
            yield Measured("knowledge", "", rows.assign(share=rows["toward"]), own)


def control_of(arm: str, config: dict) -> str:
    """Its `design.control`; "" where it has none but itself."""
    control = design.control(arm, config)
    return "" if control in (None, arm) else str(control)


def _row(
    measured: Measured, answers: Mapping[str, pd.DataFrame], arm: str, control: str
) -> dict[str, Any]:
    """answers: those of `measured` by arm."""
    column = "share" if "share" in measured.rows else "score"
    of_arm = spoken.estimate(answers, {arm: 1.0}, column)
    row: dict[str, Any] = {"measure": measured.measure, "of": measured.of, "arm": arm}
    row |= {"control": control, "own": measured.own}
    row |= {count: of_arm[count] for count in COUNTS}
    row |= {"value": of_arm["mean"], "control_value": math.nan, "difference": math.nan}
    ends = [f"{cluster}_{end}" for cluster in ("domains", "seeds") for end in ("low", "high")]
    row |= dict.fromkeys((f"difference_{end}" for end in ends), math.nan)
    if control:
        change = spoken.estimate(answers, {arm: 1.0, control: -1.0}, column)
        row["control_value"] = of_arm["mean"] - change["mean"]
        row["difference"] = change["mean"]
        row |= {f"difference_{end}": change[f"mean_{end}"] for end in ends}
    return row
