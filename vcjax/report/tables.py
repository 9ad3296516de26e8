"""The tables of a report, from answers and losses: pure functions.

`config` is the run's, as JSON.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vcjax.errors import InputError
from vcjax.plan import Plan
from vcjax.report import design, statistics
from vcjax.report.reading import Answers

# The fields of a stage's plan and data that `training` shows.
COUNTS = {
    *("rows", "documents", "held_out_documents", "tokens", "weighted_tokens", "left_out_tokens"),
    *("split_documents", "most_documents", "rows_per_update", "updates", "warmup"),
}

# Probes of one group have the same scope, split and kind, and margins that point to one value.
GROUP = ["scope", "split", "contrast", "points_to"]


def headline(config: dict) -> dict:
    """The group that carries the primary contrast: held-out pairs, of two values or of one against
    an option with neither, in domains that training never covered."""
    return {
        "scope": "out_of_domain",
        "split": "held_out",
        "contrast": config["primary_probes"],
        "points_to": config["toward"],
    }


def make_tables(
    read: Answers, config: dict, preregistered: bool = True
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Every table of choices and texts, by name, and how many p-values `correct` corrected in them.

    They are rounded here, once, so that page and CSV agree.

    Args:
      read: what `reading.read_answers` returns.
      preregistered: whether these probes were chosen before the run; if not, all contrasts on them
        are exploratory.
    """
    answers = read.choices
    tables = {"perplexity": perplexity(read.texts, config)}
    corrected = {}
    if len(answers):
        sums = weighted_sums(answers, config)
        tables |= {
            "arms": estimates(sums, config, "arm"),
            "contrasts": estimates(sums, config, "contrast"),
            "explicitness": explicitness(answers, config),
            "domains": by_cluster(sums, "domain"),
            "seeds": by_cluster(sums, "seed"),
            "positions": positions(answers, config),
            "flips": flips(answers, config),
            "probe_files": probe_files(answers),
            # Without the columns that probe_files has once for all rows of a file.
            "answers": answers.drop(columns=["file_sha256", "scorer"]),
        }
        if not preregistered:
            tables["contrasts"]["role"] = "exploratory"
        corrected = correct(tables["contrasts"], tables["explicitness"])
    return {name: table.round(6) for name, table in tables.items()}, corrected


class Sum(NamedTuple):
    """A weighted sum of arms on one group of probes: an arm itself, or a contrast."""

    group: dict[str, str]
    kind: str
    name: str
    weights: Mapping[str, float]
    paired: pd.DataFrame  # what `statistics.weighted_sum` returns


def weighted_sums(answers: pd.DataFrame, config: dict) -> list[Sum]:
    """Every arm and every contrast of the config, group by group, the headline first."""
    terms = [("arm", arm, {arm: 1.0}) for arm in config["arms"]]
    terms += [("contrast", name, weights) for name, weights in config["contrasts"].items()]
    return [
        Sum(group, kind, name, weights, statistics.weighted_sum(of_arms, weights))
        for group, part in _groups(answers, config)
        for of_arms in [statistics.by_arm(part)]
        for kind, name, weights in terms
    ]


def estimates(sums: Iterable[Sum], config: dict, kind: str) -> pd.DataFrame:
    """Margin and rate of every arm (kind "arm") or contrast (kind "contrast"), group by group.

    Returns:
      Columns `GROUP`, name, for contrasts weights ("a - b") and role (primary, exploratory),
      seeds, domains, probes (counts), and for each measure m of margin (nats a token) and rate:
      m, m_domains_low, m_domains_high, m_seeds_low, m_seeds_high, for contrasts m_domains_p and
      m_seeds_p (of a difference of zero), missing where there is no interval; over_domains and
      over_seeds: what the intervals are conditional on, or why the margin has none.
    """
    rows = []
    for group, own_kind, name, weights, paired in sums:
        if own_kind != kind:
            continue
        row: dict[str, Any] = group | {"name": name}
        if kind == "contrast":
            primary = name == config["primary"] and group == headline(config)
            row["weights"] = formula(weights)
            row["role"] = "primary" if primary else "exploratory"
        row["seeds"] = paired["seed"].nunique()
        row["domains"] = paired["domain"].nunique()
        row["probes"] = len(paired) // row["seeds"]
        for measure in statistics.MEASURES:
            row[measure] = statistics.mean(paired, measure)
            for cluster in ("domains", "seeds"):
                low, high, p, meaning = _interval(paired, measure, cluster)
                if measure == "rate":
                    low, high = (_clipped(end, weights) for end in (low, high))
                row |= {f"{measure}_{cluster}_low": low, f"{measure}_{cluster}_high": high}
                if kind == "contrast":
                    row[f"{measure}_{cluster}_p"] = p
                row.setdefault(f"over_{cluster}", meaning)
        rows.append(row)
    if not rows:  # a config may have no contrasts
        return pd.DataFrame(columns=[*GROUP, "name", "weights", "role", *statistics.MEASURES])
    return pd.DataFrame(rows)


def explicitness(answers: pd.DataFrame, config: dict) -> pd.DataFrame:
    """The contrasts on explicit and on implicit held-out pairs, which name a value or only fit it.

    Returns:
      As `estimates`, with a first column explicitness; empty where probes do not state theirs.
    """
    parts = []
    held_out = answers[in_group(answers, headline(config))]
    for kind, part in held_out.groupby("explicitness"):
        table = estimates(weighted_sums(part, config), config, "contrast")
        table["role"] = "exploratory"
        table.insert(0, "explicitness", kind)
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def correct(*contrasts: pd.DataFrame) -> dict[str, int]:
    """Corrects the p-values of all exploratory contrasts, in place, for their number.

    The method is `statistics.holm`; the p-values over domains are one family, those over seeds
    another. Contrasts of the premise are not counted: no question asks for them.

    Returns:
      How many p-values were corrected over "domains" and over "seeds".
    """
    counts = {}
    for cluster in ("domains", "seeds"):
        cells = [
            (table, row, f"{measure}_{cluster}_p")
            for table in contrasts
            for row in table.index
            for measure in statistics.MEASURES
            if table.loc[row, "role"] == "exploratory" and table.loc[row, "contrast"] != "premise"
        ]
        p_values = [table.loc[row, column] for table, row, column in cells]
        for (table, row, column), p in zip(cells, statistics.holm(p_values), strict=True):
            table.loc[row, column] = p
        counts[cluster] = int(np.count_nonzero(~np.isnan(p_values)))
    return counts


def correct_contrasts(estimates: pd.DataFrame, clusters: Iterable[str]) -> None:
    """Corrects mean_c_p of contrasts, in place, for their number (`statistics.holm`), each cluster
    c a family of its own; arms lose theirs, since no question asks whether they are zero."""
    for cluster in clusters if len(estimates) else ():
        p = f"mean_{cluster}_p"
        estimates.loc[estimates["of"] == "arm", p] = float("nan")
        estimates[p] = statistics.holm(estimates[p])


def perplexity(texts: pd.DataFrame, config: dict) -> pd.DataFrame:
    """Perplexity of each text, exp of the mean negative log-probability a token, by arm.

    Args:
      texts: of what `reading.read_answers` returns.

    Returns:
      Columns file, file_sha256, tokens, scorer, arm, seeds (count), perplexity (at the mean over
      seeds), seeds_low and seeds_high (its 95 % t interval over seeds, missing where there is
      none), ratio (to that of its `design.control`, missing where there is none).
    """
    rows = []
    for (file, sha), part in texts.groupby(["file", "file_sha256"]) if len(texts) else ():
        losses_of = {a: -part.loc[part["arm"] == a, "logprob"] for a in config["arms"]}
        for arm, losses in losses_of.items():
            ends = statistics.t_ends(losses)
            control = design.control(arm, config)
            baseline = float("nan") if control is None else losses_of[control].mean()
            rows.append(
                {
                    "file": file,
                    "file_sha256": sha,
                    "tokens": part["tokens"].iloc[0],
                    "scorer": part["scorer"].iloc[0],
                    "arm": arm,
                    "seeds": len(losses),
                    "perplexity": np.exp(losses.mean()),
                    "seeds_low": np.exp(ends[0]),
                    "seeds_high": np.exp(ends[1]),
                    "ratio": np.exp(losses.mean() - baseline),
                }
            )
    return pd.DataFrame(rows)


def flips(answers: pd.DataFrame, config: dict) -> pd.DataFrame:
    """The held-out pairs that the two arms of the primary contrast (`design.compared`) answer
    differently, the largest difference first. All numbers are means over seeds and both orders.

    Returns:
      Columns file, id, domain, explicitness, value_0, value_1, option_0, option_1, and for s of
      plus and minus: s_arm, s_logprob_0, s_logprob_1 (nats a token), s_margin.
    """
    arms = design.compared(config)
    if arms is None:
        return pd.DataFrame()
    part = answers[in_group(answers, headline(config))].fillna({"explicitness": ""})
    probe = ["file", "id", "domain", "explicitness", "value_0", "value_1", "option_0", "option_1"]
    numbers = ["logprob_0", "logprob_1", "margin"]
    means = {arm: part[part["arm"] == arm].groupby(probe)[numbers].mean() for arm in arms}
    sides = [
        means[arm].add_prefix(f"{side}_").assign(**{f"{side}_arm": arm})
        for side, arm in zip(("plus", "minus"), arms, strict=True)
    ]
    table = pd.concat(sides, axis=1).reset_index()
    table = table[table["plus_margin"] * table["minus_margin"] < 0]
    by_difference = (
        (table["plus_margin"] - table["minus_margin"])
        .abs()
        .sort_values(ascending=False, kind="stable")
    )
    return table.loc[by_difference.index].reset_index(drop=True)


def in_group(table: pd.DataFrame, group: dict) -> pd.Series:
    """Whether each row belongs to this group of probes."""
    return (table[GROUP] == pd.Series(group)[GROUP]).all(axis=1)


def by_cluster(sums: Iterable[Sum], cluster: str) -> pd.DataFrame:
    """The means behind the intervals: margin and rate of every arm and contrast for each domain
    or seed (`cluster`).

    Returns:
      Columns `GROUP`, kind (arm or contrast), name, the cluster, margin, rate.
    """
    means = {"domain": statistics.domain_means, "seed": statistics.seed_means}[cluster]
    parts = []
    for group, kind, name, _, paired in sums:
        part = pd.DataFrame({m: means(paired, m) for m in statistics.MEASURES})
        parts.append(part.reset_index().assign(**group, kind=kind, name=name))
    columns = [*GROUP, "kind", "name", cluster, *statistics.MEASURES]
    return pd.concat(parts, ignore_index=True)[columns]


def positions(answers: pd.DataFrame, config: dict) -> pd.DataFrame:
    """`statistics.position_bias` of each group, arms in the config's order."""
    parts = []
    for group, part in _groups(answers, config):
        table = statistics.position_bias(part).set_index("arm").loc[list(config["arms"])]
        parts.append(table.reset_index().assign(**group))
    table = pd.concat(parts, ignore_index=True)
    return table[[*GROUP, *table.columns.drop(GROUP)]]


def probe_files(answers: pd.DataFrame) -> pd.DataFrame:
    """The choice probes: one row a file and group. Columns file, file_sha256, scorer, `GROUP`,
    probes (count), domains (their names). Texts are in `perplexity`."""
    groups = answers.groupby(["file", "file_sha256", "scorer", *GROUP])
    counted = groups.agg(
        probes=("id", "nunique"), domains=("domain", lambda names: ", ".join(sorted(set(names))))
    )
    return counted.reset_index()


def training(curves: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row a trained stage: its counts in the plan, and its first and last losses.

    Args:
      curves: what `reading.read_curves` returns.

    Returns:
      Columns chain, stage, seed, fingerprint, arms (that contain it), `COUNTS`, and, in nats a
      token and missing where nothing was logged, loss_first, loss_last, held_out_first,
      held_out_last, held_out_minimum; minimum_step is where the minimum was logged.
    """
    arms: dict[str, list[str]] = {}
    for arm, seeds in plan.arms.items():
        for fingerprint in {f: None for chain in seeds.values() for f in chain}:
            arms.setdefault(fingerprint, []).append(arm)
    chains = plan.chains()
    order = list(dict.fromkeys(chains.values()))
    stages = sorted(
        plan.stages.items(), key=lambda item: (order.index(chains[item[0]]), item[1].seed)
    )
    rows = []
    for fingerprint, stage in stages:
        row: dict[str, Any] = {
            "chain": chains[fingerprint],
            "stage": stage.name,
            "seed": stage.seed,
            "fingerprint": fingerprint,
            "arms": ", ".join(arms[fingerprint]),
        }
        planned = {**dataclasses.asdict(stage.data), **dataclasses.asdict(stage)}
        row |= {key: planned[key] for key in sorted(COUNTS)}
        steps = curves[curves["fingerprint"] == fingerprint].set_index("step")
        loss, held_out = steps["loss"].dropna(), steps["held_out_loss"].dropna()
        row["loss_first"], row["loss_last"] = _ends(loss)
        row["held_out_first"], row["held_out_last"] = _ends(held_out)
        row["held_out_minimum"] = held_out.min()
        row["minimum_step"] = held_out.idxmin() if len(held_out) else None
        rows.append(row)
    table = pd.DataFrame(rows)
    # A count that one stage lacks must not turn the others into floats.
    counts = [name for name in table if not str(name).startswith(("loss_", "held_out_"))]
    return table.assign(**{name: table[name].convert_dtypes() for name in counts})


def formula(weights: Mapping[str, float]) -> str:
    """{"b": -0.5, "a": 1} as "a - 0.5 b"."""
    terms = [
        ("-" if weight < 0 else "+", arm if abs(weight) == 1 else f"{abs(weight):g} {arm}")
        for arm, weight in sorted(weights.items(), key=lambda item: item[1] < 0)
    ]
    return " ".join(f"{sign} {term}" for sign, term in terms).removeprefix("+ ")


def _groups(answers: pd.DataFrame, config: dict) -> Iterator[tuple[dict, pd.DataFrame]]:
    """The groups of probes: the headline first, the others in the order of their names."""
    groups = [(dict(zip(GROUP, key, strict=True)), part) for key, part in answers.groupby(GROUP)]
    yield from sorted(groups, key=lambda item: item[0] != headline(config))


def _interval(paired: pd.DataFrame, measure: str, cluster: str) -> tuple[float, float, float, str]:
    """Low end, high end, p and meaning; where there is no interval, three NaN and the reason."""
    over = {"domains": statistics.over_domains, "seeds": statistics.over_seeds}[cluster]
    try:
        interval = over(paired, measure)
    except InputError as error:
        return float("nan"), float("nan"), float("nan"), f"none, {error}"
    return interval.low, interval.high, interval.p, interval.meaning


def mean_with_intervals(
    paired: pd.DataFrame, measure: str, weights: Mapping[str, float], is_share: bool
) -> dict[str, float]:
    """Mean of domain means of a weighted sum, and for c of domains and seeds: mean_c_low,
    mean_c_high, mean_c_p, missing where there is no interval. is_share: of a measure within 0 and
    1, whose ends are clipped."""
    row = {"mean": statistics.mean(paired, measure)}
    for cluster in ("domains", "seeds"):
        low, high, p, _ = _interval(paired, measure, cluster)
        if is_share:
            low, high = (_clipped(end, weights) for end in (low, high))
        row |= {f"mean_{cluster}_low": low, f"mean_{cluster}_high": high, f"mean_{cluster}_p": p}
    return row


def _clipped(rate: float, weights: Mapping[str, float]) -> float:
    """An end of an interval, clipped to what a weighted sum of rates can be (an arm: 0 to 1, a
    difference of two: -1 to 1). That leaves the interval's coverage as it is."""
    least = sum(min(weight, 0) for weight in weights.values())
    most = sum(max(weight, 0) for weight in weights.values())
    return float(np.clip(rate, least, most))


def _ends(losses: pd.Series) -> tuple[float, float]:
    """The first and the last; two NaN where nothing was logged."""
    return (losses.iloc[0], losses.iloc[-1]) if len(losses) else (float("nan"), float("nan"))
