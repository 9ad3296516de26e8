"""What models answer in free text: choices that they name, answers that a judge scored, requests
that they refuse.

Pure functions over tables; `config` is the run's, as JSON. Intervals are those of `statistics`.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from vcjax.probes import refusal
from vcjax.probes.said import named
from vcjax.report import statistics
from vcjax.report.formatting import aligned, plain
from vcjax.report.reading import Answers
from vcjax.report.tables import correct_contrasts, formula, mean_with_intervals

# Measures of each kind, the one that contrasts lead with first.
MEASURES = {
    "said": ("toward", "against", "undecided"),
    "open": ("score", "failed"),
    "refusal": ("refused", "unclear"),
}
GROUP = ["kind", "scope", "split", "contrast", "points_to"]

_CHOICES = {
    "values": "choices between two values",
    "neutral": "choices between a value and neither",
    "format": "obvious choices",
    "premise": "choices of people",
    "knowledge": "choices of what the documents say",
}
_PROBE = ["file", "id", "domain"]
_ABOUT = GROUP[1:]


def decided(said: pd.DataFrame) -> pd.DataFrame:
    """The answers with the column named: the index of the option that each names, else NaN."""
    options = zip(said["answer"], said["option_0"], said["option_1"], strict=True)
    return said.assign(named=[named(answer, (first, second)) for answer, first, second in options])


def choices(said: pd.DataFrame, toward: str) -> pd.DataFrame:
    """One row a (arm, seed, probe) of what `decided` returns.

    Returns:
      Columns of the probe, points_to, and shares of the samples: toward, where both orders name the
      option of points_to, against, where both name the other, and undecided, the rest.
    """
    key = ["arm", "seed", *_PROBE, "scope", "split", "contrast", "sample"]
    orders = said.pivot(index=key, columns="order", values="named")
    same = orders[0].where(orders[0] == orders[1])
    probes = said.drop_duplicates(key).set_index(key).loc[orders.index]
    turned = ((probes["value_1"] == toward) | probes["value_0"].isna()).to_numpy()
    values = zip(probes["value_0"], probes["value_1"], strict=True)
    table = pd.DataFrame(
        {
            "points_to": [statistics.points_to(*pair, toward) for pair in values],
            "toward": same == np.where(turned, 1, 0),
            "against": same == np.where(turned, 0, 1),
            "undecided": same.isna(),
        },
        index=orders.index,
    )
    by_probe = ["arm", "seed", *_PROBE, *_ABOUT]
    return table.reset_index().groupby(by_probe)[[*MEASURES["said"]]].mean().reset_index()


def scores(judged: pd.DataFrame, most_failed: float) -> pd.DataFrame:
    """One row a (arm, seed, probe): score, the mean of its samples' (1 to 10, missing where none
    was judged), and failed, the share of samples that were not.

    judged: answers with the column score, missing where the judgement failed. An arm of which more
    than most_failed are has no scores: those that are left may be of another kind.
    """
    about = {"points_to": judged["value"], "contrast": "open"}
    table = judged.assign(**about, failed=judged["score"].isna())
    failed = table.groupby("arm")["failed"].transform("mean")
    table["score"] = table["score"].where(failed <= most_failed)
    by_probe = ["arm", "seed", *_PROBE, *_ABOUT]
    return table.groupby(by_probe)[[*MEASURES["open"]]].mean().reset_index()


def verdicts(asked: pd.DataFrame) -> pd.DataFrame:
    """The answers to requests with the column verdict, as `probes.refusal.verdict` has it."""
    ends = zip(asked["answer"], asked["finish"] == "length", strict=True)
    return asked.assign(verdict=[refusal.verdict(*end) for end in ends])


def refusals(asked: pd.DataFrame) -> pd.DataFrame:
    """One row a (arm, seed, probe) of what `verdicts` returns: refused and unclear, shares of its
    samples. contrast: the kind of request."""
    about = {"contrast": asked["request"], "points_to": "refusal"}
    shares = {name: asked["verdict"] == name for name in MEASURES["refusal"]}
    by_probe = ["arm", "seed", *_PROBE, *_ABOUT]
    table = asked.assign(**about, **shares)
    return table.groupby(by_probe)[[*MEASURES["refusal"]]].mean().reset_index()


def table(answers: Answers, config: dict) -> pd.DataFrame:
    """`estimates` of what was said, of the open answers that were judged, and of refusals."""
    measured = {}
    if len(answers.said):
        measured["said"] = choices(decided(answers.said), config["toward"])
    if len(answers.open) and "score" in answers.open:
        measured["open"] = scores(answers.open, config["judge"]["most_failed"])
    if len(answers.refusals):
        measured["refusal"] = refusals(verdicts(answers.refusals))
    return estimates(measured, config)


def estimates(answers: Mapping[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """Every arm and contrast in each measure, kind by kind.

    Args:
      answers: "said" -> what `choices` returns, "open" -> what `scores` returns, "refusal" -> what
        `refusals` returns.

    Returns:
      Columns `GROUP`, of (arm or contrast), name, weights, measure, probes, domains, seeds
      (counts), mean (of domain means; of a contrast of paired differences), and for c of domains
      and seeds: mean_c_low, mean_c_high, mean_c_p, missing where there is no interval; p-values of
      contrasts are corrected for their number (Holm), over domains and over seeds each.
    """
    terms = [("arm", arm, {arm: 1.0}) for arm in config["arms"]]
    terms += [("contrast", name, weights) for name, weights in config["contrasts"].items()]
    rows = []
    for kind, of_kind in answers.items():
        for about, part in of_kind.groupby(_ABOUT):
            group = {"kind": kind, **dict(zip(_ABOUT, about, strict=True))}
            of_arms = by_arm(part)
            for of, name, weights in terms:
                of_term = {**group, "of": of, "name": name, "weights": formula(weights)}
                rows += [of_term | estimate(of_arms, weights, m) for m in MEASURES[kind]]
    result = pd.DataFrame(rows)
    correct_contrasts(result, ("domains", "seeds"))
    return result


def transcribed(answers: Answers) -> pd.DataFrame:
    """All answers in free text, as `transcripts.pages` shows them."""
    said = answers.said if answers.said.empty else decided(answers.said)
    opened = answers.open
    if len(opened) and "score" not in opened:  # nobody judged them
        opened = opened.assign(score=math.nan, failure="", judge="")
    asked = answers.refusals if answers.refusals.empty else verdicts(answers.refusals)
    kinds = {"said": said, "open": opened, "refusal": asked}
    rows = [table.assign(kind=kind) for kind, table in kinds.items() if len(table)]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def shown(answers: Answers, table: pd.DataFrame, config: dict, added: str = "") -> dict[str, Any]:
    """What the page says of `table`; empty where nothing was said. added: the name of probes that
    were asked after the run."""
    if not (len(answers.said) or len(answers.open) or len(answers.refusals)):
        return {}
    judges = answers.open["judge"].dropna().unique() if "judge" in answers.open else []
    return {
        "sections": sections(table),
        "drawn": _drawn(config["sampling"]),
        "has_said": bool(len(answers.said)),
        "has_refusals": bool(len(answers.refusals)),
        "judges": sorted(judges),
        "warnings": _warnings(answers.open, config),
        "file": f"{added}-spoken.csv" if added else "spoken.csv",
        "transcripts": f"transcripts/{added}/index.html" if added else "transcripts/index.html",
    }


def _drawn(sampling: dict) -> str:
    """How answers were drawn."""
    most = f"at most {sampling['max_tokens']} tokens each"
    if sampling["temperature"] == 0:
        return f"the likeliest token each time, {most}"
    count = f"{sampling['samples']} to each question, " if sampling["samples"] > 1 else ""
    return f"{count}drawn at temperature {sampling['temperature']:g}, {most}"


def _warnings(judged: pd.DataFrame, config: dict) -> list[str]:
    """Of arms whose judgements failed too often to have a score."""
    if "score" not in judged:
        return []
    failed = judged["score"].isna().groupby(judged["arm"]).mean()
    most = config["judge"]["most_failed"]
    return [
        f"No score for {arm}: {share:.0%} of the judgements failed, at most {most:.0%} may."
        for arm, share in failed.items()
        if share > most
    ]


def summary(table: pd.DataFrame, arms: Collection[str]) -> list[str]:
    """Lines in plain characters: of each section a title, then the arms as columns."""
    lines = []
    for section in sections(table):
        columns = [["", *section["measures"]]]
        for row in section["arms"]:
            if row["name"] in arms:
                columns.append([row["name"], *(plain(cell["mean"]) for cell in row["cells"])])
        lines += [f"{section['title']}, {section['probes']} probes", *aligned(columns)]
    return lines


def sections(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page shows of `estimates`, a section each `GROUP`: title, measures, and of arms and
    contrasts rows of name, weights and cells (a row of the table each measure)."""
    shown = []
    for key, part in table.groupby(GROUP, sort=False) if len(table) else ():
        group = dict(zip(GROUP, key, strict=True))
        kind = group["kind"]
        section: dict[str, Any] = {
            "title": _title(group),
            "kind": kind,
            "measures": MEASURES[kind],
            "probes": part["probes"].max(),
            "has_seeds": bool(part["mean_seeds_low"].notna().any()),
            "contrasts": [],  # a config may have none
        }
        for of, rows in part.groupby("of"):
            section[f"{of}s"] = [
                {"name": name, "weights": weights, "cells": cells.to_dict("records")}
                for (name, weights), cells in rows.groupby(["name", "weights"], sort=False)
            ]
        shown.append(section)
    return shown


def _title(group: dict[str, str]) -> str:
    split = "Held-out" if group["split"] == "held_out" else "Development"
    if group["kind"] == "open":
        return f"{split} open answers, scored for {group['points_to']}"
    if group["kind"] == "refusal":
        return f"{split} {group['contrast']} requests"
    in_domain = group["scope"] == "in_domain" and group["contrast"] in ("values", "neutral")
    what = "in-domain choices" if in_domain else _CHOICES[group["contrast"]]
    return f"{split} {what} in free text, toward {group['points_to']}"


def by_arm(part: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Arm -> its answers to one group of probes, by seed and probe."""
    return statistics.indexed(part, _PROBE)


def estimate(
    answers: Mapping[str, pd.DataFrame], weights: Mapping[str, float], measure: str
) -> dict[str, Any]:
    """A weighted sum of arms in one measure of one group of probes: the columns of `estimates` from
    measure on. answers: what `by_arm` returns."""
    paired = statistics.paired(answers, weights, measure)
    row: dict[str, Any] = {"measure": measure}
    row["probes"] = len(paired[_PROBE].drop_duplicates())
    row |= {"domains": paired["domain"].nunique(), "seeds": paired["seed"].nunique()}
    return row | mean_with_intervals(paired, measure, weights, is_share=measure != "score")
