"""Evaluations of others on a run's arms: their scores by arm, and the contrasts in them.

Pure functions over tables; `record` is the run's. A cluster of samples stands where a domain of
probes does in `statistics`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vcjax.record import Record
from vcjax.report import formatting, statistics
from vcjax.report.evaluation_files import Evaluation
from vcjax.report.tables import correct_contrasts, formula, mean_with_intervals

# Scores that are counted beside a mean; a cut answer may be in the mean, if it was scored.
COUNTED = ("cut", "refused", "missing", "error")

_GROUP = ["evaluation", "task", "scorer", "key"]
_SAMPLE = ["domain", "sample", "epoch"]  # columns that identify one


def current(evaluation: Evaluation, record: Record) -> pd.DataFrame:
    """The scores of the run's arms as they are now; a log of others is taken at its word."""
    arms, seeds = record.plan.arms, range(record.config["seeds"])
    of_now = [
        arm in arms
        and seed in seeds
        and (_of_others(evaluation) or model == record.model_of(arm, seed))
        for arm, seed, model in evaluation.scores[["arm", "seed", "model"]].itertuples(index=False)
    ]
    return evaluation.scores[of_now]


def of_config(
    evaluations: Sequence[Evaluation], record: Record
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(title, scores) of each measure of the evaluations that the run's config names, as it is now.

    Scores have the columns that answers to probes have: file, id, domain; and share, or score
    where not all are within 0 and 1.
    """
    named = record.config["evaluations"]
    for evaluation in evaluations:
        asked = evaluation.about.get("of_config", {})
        name = asked.get("name")
        if name not in named or asked != {"name": name, **named[name]}:
            continue
        limit = evaluation.about["limit"]
        title = name if limit is None else f"{name}, first {limit}"
        scores = current(evaluation, record).rename(columns={"cluster": "domain"})
        ids = [f"{sample}, {epoch}" for sample, epoch in scores[["sample", "epoch"]].to_numpy()]
        scores = scores.assign(file=evaluation.name, id=ids)
        for (scorer, key), part in scores.groupby(["scorer", "key"], sort=True):
            column = "share" if _is_share(part) else "score"
            yield f"{title}: {key or scorer}", part.rename(columns={"value": column})


def table(evaluations: Sequence[Evaluation], record: Record) -> pd.DataFrame:
    """Every arm that was evaluated, and every contrast of such arms, in each measure.

    Returns:
      Columns evaluation, task, scorer, key; limit (of samples, as text, "" for none); of (arm or
      contrast), name, weights; seeds, clusters and n (counts; n of values, or of pairs that a
      contrast is of), of arms tokens (mean of the model's answers) and counts of `COUNTED`; mean
      (of cluster means; of a contrast of paired differences), and for c of clusters and seeds:
      mean_c_low, mean_c_high, mean_c_p, missing where there is no interval. p-values of contrasts
      are corrected for their number (Holm), over clusters and over seeds each, all evaluations
      together.
    """
    rows: list[dict[str, Any]] = []
    for evaluation in evaluations:
        scores = current(evaluation, record)
        limit = evaluation.about.get("limit")
        for (scorer, key), part in scores.groupby(["scorer", "key"], sort=True):
            names = (evaluation.name, evaluation.about["task"], scorer, key)
            group = dict(zip(_GROUP, names, strict=True))
            group["limit"] = "" if limit is None else formatting.as_text(limit)
            rows += [group | row for row in _estimates(part, record.config)]
    result = pd.DataFrame(rows)
    if rows:
        result[[*COUNTED]] = result[[*COUNTED]].astype("Int64")
    correct_contrasts(result, ("clusters", "seeds"))
    return result


def _is_share(scores: pd.DataFrame) -> bool:
    return bool(scores["value"].dropna().between(0, 1).all())


def _estimates(part: pd.DataFrame, config: dict) -> Iterator[dict[str, Any]]:
    """Of the scores in one measure: every arm that has any, every contrast that has pairs."""
    is_share = _is_share(part)
    scores = part.rename(columns={"cluster": "domain", "value": "mean"})
    of_arms = statistics.indexed(scores, _SAMPLE)
    for arm in config["arms"]:
        if arm in of_arms:
            own = of_arms[arm]
            counts = {status: int((own["status"] == status).sum()) for status in COUNTED}
            yield (
                {"of": "arm", "name": arm, "weights": arm, "tokens": float(own["tokens"].mean())}
                | counts
                | _estimate(of_arms, {arm: 1.0}, is_share)
            )
    for name, weights in config["contrasts"].items():
        estimate = _estimate(of_arms, weights, is_share)
        if estimate["n"]:
            yield {"of": "contrast", "name": name, "weights": formula(weights)} | estimate


def _estimate(
    of_arms: Mapping[str, pd.DataFrame], weights: Mapping[str, float], is_share: bool
) -> dict[str, Any]:
    """A weighted sum of arms, sample by sample, epoch by epoch and seed by seed, over those that
    all of its arms have a value for."""
    paired = statistics.paired(of_arms, weights, "mean")
    row: dict[str, Any] = {
        "seeds": paired["seed"].nunique(),
        "clusters": paired["domain"].nunique(),
        "n": len(paired),
    }
    estimate = mean_with_intervals(paired, "mean", weights, is_share)
    return row | {name.replace("_domains_", "_clusters_"): x for name, x in estimate.items()}


def shown(
    evaluations: Sequence[Evaluation], table: pd.DataFrame, record: Record
) -> list[dict[str, Any]]:
    """What the page says of each: title, settings, notes, and measures: title, arms, contrasts."""
    return [
        {
            "title": _title(evaluation.about),
            "settings": _settings(evaluation),
            "notes": [*_notes(evaluation, record)],
            "measures": [*_measures(table, evaluation.name, record.config)],
        }
        for evaluation in evaluations
    ]


def _measures(table: pd.DataFrame, evaluation: str, config: dict) -> Iterator[dict[str, Any]]:
    rows = table[table["evaluation"] == evaluation] if len(table) else table
    for (scorer, key), part in rows.groupby(["scorer", "key"], sort=False) if len(rows) else ():
        by = {of: part[part["of"] == of].to_dict("records") for of in ("arm", "contrast")}
        lacking = [name for name in config["contrasts"] if name not in {*part["name"]}]
        without = [
            f"over {cluster}"
            for cluster in ("clusters", "seeds")
            if part[f"mean_{cluster}_low"].isna().all()
        ]
        notes = []
        if lacking:
            notes.append(f"Without samples that all of its arms have: {', '.join(lacking)}.")
        if without:
            notes.append(f"No interval {' or '.join(without)}: there is no spread to take it from.")
        yield {
            "title": f"{scorer}, {key}" if key else scorer,
            "arms": by["arm"],
            "contrasts": by["contrast"],
            "has_seeds": bool(part["seeds"].max() > 1),
            "notes": notes,
        }


def _title(about: Mapping[str, Any]) -> str:
    arguments = [f"{k}={formatting.as_text(v)}" for k, v in about.get("arguments", {}).items()]
    return " ".join([about["task"], *arguments])


def _settings(evaluation: Evaluation) -> str:
    """How it was asked, as text; what a task decides itself is left out."""
    about = {"task", "arguments", "server", "of_config"}
    given = {k: v for k, v in evaluation.about.items() if k not in about and v is not None}
    words = [
        f"{name.replace('_', ' ')} {formatting.as_text(value)}" for name, value in given.items()
    ]
    by = evaluation.scores["clustered_by"].unique()
    return "; ".join([*words, f"clustered by {' or '.join(sorted(by))}"])


def _notes(evaluation: Evaluation, record: Record) -> Iterator[str]:
    """What a reader has to know of the arms of an evaluation."""
    if _of_others(evaluation):
        pairs = evaluation.scores[["arm", "seed", "named"]].drop_duplicates()
        named = [f"{arm}-{seed} is {name}" for arm, seed, name in pairs.itertuples(index=False)]
        yield f"From logs of others, which no run can vouch for: {'; '.join(named)}."
    elif evaluation.about.get("server") == "another":
        yield "Answered by another server than vcjax's."
    scores = current(evaluation, record)
    evaluated = {*zip(scores["arm"], scores["seed"], strict=True)}
    before = {*zip(evaluation.scores["arm"], evaluation.scores["seed"], strict=True)}
    if outdated := sorted(before - evaluated):
        names = ", ".join(f"{arm}-{seed}" for arm, seed in outdated)
        yield f"Left out, for they are other models now; evaluate them again: {names}."
    arms = {
        arm: [seed for seed in seeds if (arm, seed) in evaluated]
        for arm, seeds in record.plan.arms.items()
    }
    if lacking := [arm for arm, seeds in arms.items() if not seeds]:
        yield f"Not evaluated: {', '.join(lacking)}."
    partly = {arm: seeds for arm, seeds in arms.items() if 0 < len(seeds) < record.config["seeds"]}
    if partly:
        of_each = (f"{arm} ({', '.join(map(str, seeds))})" for arm, seeds in partly.items())
        yield f"Of some arms only these seeds: {', '.join(of_each)}."
    asked = scores.groupby(["arm", "seed"])[["sample", "epoch"]].apply(
        lambda of: len(of.drop_duplicates())
    )
    if len(asked) and np.ptp(asked) > 0:
        yield "Not every arm and seed was asked all samples."


def _of_others(evaluation: Evaluation) -> bool:
    return evaluation.about.get("server") == "others"
