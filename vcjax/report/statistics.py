"""From probe rows to answers, differences between arms, and intervals. Pure functions over tables.

A *row* is one probe in one order of its options (columns: `ROW_COLUMNS`). An *answer* joins the two
rows of a probe. Estimates are means of domain means: each domain has the same weight, whatever its
number of probes. So the difference of two arms' estimates is the estimate of their difference.

There are two kinds of interval, which answer different questions. That over domains
(`over_domains`) treats domains as the sample and these trained models as fixed; that over seeds
(`over_seeds`) treats trainings as the sample and these probes as fixed.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from vcjax.errors import InputError

ROW_COLUMNS = [
    *("arm", "seed", "file", "file_sha256", "scorer", "id", "domain", "scope", "split"),
    *("contrast", "explicitness", "value_0", "value_1", "option_0", "option_1"),
    *("order", "logprob_0", "logprob_1", "tokens_0", "tokens_1"),
]
MEASURES = ("margin", "rate")  # the columns of answers that estimates are means of
CONFIDENCE = 0.95

_PROBE = ["file", "file_sha256", "id", "domain"]  # columns that identify a probe


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a mean of cluster means."""

    low: float
    high: float
    p: float  # two-sided, of the null hypothesis that the mean is zero
    meaning: str  # kind, number of clusters, and what it is conditional on, as text


def answers(rows: pd.DataFrame, toward: str) -> pd.DataFrame:
    """One answer a (arm, seed, probe): the mean over both orders of the options.

    Scoring both orders and averaging removes a preference for the position of an option, which
    adds to one order what it takes from the other (counterbalancing; Zheng et al. 2024, "Large
    Language Models Are Not Robust Multiple Choice Selectors", arXiv 2309.03882).

    Args:
      rows: columns `ROW_COLUMNS`; `logprob_*` in nats a token.
      toward: the value that a positive margin means, where an option of the probe has it. In
        other probes it means the value of option 0, or of option 1 where option 0 has none.

    Returns:
      Columns of the probe; `points_to`, the value that a positive margin means; `margin_first` and
      `margin_second`, the margins (nats a token) in the orders that name this value's option first
      and second; `margin`, their mean; `rate`, 1 where the margin is above zero, 0 below, .5 at a
      tie; `logprob_0` and `logprob_1`, the means over both orders (nats a token).

    Raises:
      InputError: a log-probability is not finite, or a probe has not exactly one row for each
        order.
    """
    key = ["arm", "seed", *_PROBE]
    rows = rows.sort_values([*key, "order"], ignore_index=True)
    finite = np.isfinite(rows[["logprob_0", "logprob_1"]]).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{_where(rows[~finite].iloc[0])}: a log-probability is not a finite number; "
            "look at this arm's training loss, then score the probes again"
        )
    orders = rows.groupby(key)["order"].agg(lambda order: order.tolist() == [0, 1])
    if not orders.all():
        bad = orders.index[~orders.to_numpy(bool)][0]
        raise InputError(
            f"{_where(dict(zip(key, bad, strict=True)))}: expected one row for each of the orders "
            "0 and 1 of the options; score the probes again"
        )

    turned = (rows["value_1"] == toward) | rows["value_0"].isna()
    rows["points_to"] = [
        points_to(*values, toward) for values in zip(rows["value_0"], rows["value_1"], strict=True)
    ]
    rows["difference"] = (rows["logprob_0"] - rows["logprob_1"]).where(
        ~turned, rows["logprob_1"] - rows["logprob_0"]
    )
    first = (rows["order"] == 0) != turned
    result = rows[first].set_index(key)
    result["margin_first"] = result["difference"]
    result["margin_second"] = rows[~first].set_index(key)["difference"]
    result["margin"] = (result["margin_first"] + result["margin_second"]) / 2
    result["rate"] = _chosen(result["margin"])
    options = ["logprob_0", "logprob_1"]
    result[options] = rows.groupby(key)[options].mean()
    dropped = ["difference", "order", "tokens_0", "tokens_1"]
    return result.drop(columns=dropped).reset_index()


def indexed(answers: pd.DataFrame, probe: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Arm -> its answers, sorted by their index: seed and `probe`, the columns that are one."""
    return {
        arm: rows.set_index(["seed", *probe]).sort_index() for arm, rows in answers.groupby("arm")
    }


def paired(
    answers: Mapping[str, pd.DataFrame], weights: Mapping[str, float], measure: str
) -> pd.DataFrame:
    """A weighted sum of arms, probe by probe and seed by seed, without those where an arm has no
    number: the columns of the index and measure. answers: of at least one arm, as of `indexed`."""
    if not weights.keys() <= answers.keys():
        [some, *_] = answers.values()
        return pd.DataFrame(columns=[*some.index.names, measure]).astype({measure: float})
    total = sum(weight * answers[arm][measure].astype(float) for arm, weight in weights.items())
    return total.dropna().rename(measure).reset_index()


def by_arm(answers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """As `indexed`, of answers to choices.

    Raises InputError where an arm has not answered the same probes at every seed.
    """
    found = indexed(answers, _PROBE)
    for rows in found.values():
        seeds = rows.groupby(_PROBE).size()
        if seeds.min() < seeds.max():
            probe = seeds.idxmin()
            raise InputError(
                f"{_where(dict(zip(_PROBE, probe, strict=True)))}: not answered at every seed that "
                "others are; score the probes again"
            )
    return found


def weighted_sum(answers: Mapping[str, pd.DataFrame], weights: Mapping[str, float]) -> pd.DataFrame:
    """A weighted sum of arms, probe by probe and seed by seed: {"a": 1, "b": -1} is a paired
    difference, {"a": 1} is the arm itself, four arms make a difference in differences.

    Pairing removes what two arms share, the probe's difficulty and the seed's draw (Miller 2024,
    "Adding Error Bars to Evals", arXiv 2411.00640).

    Args:
      answers: what `by_arm` returns.

    Returns:
      Columns seed, those of the probe, margin, rate; one row a (seed, probe).

    Raises:
      InputError: an arm has no answers, the arms do not hold the same probes and seeds, or the
        answers come from more than one scorer.
    """
    for arm in weights:
        if arm not in answers:
            raise InputError(f"arm '{arm}' has no answers here; score its probes first")
    arms = {arm: answers[arm] for arm in weights}
    scorers = sorted({scorer for rows in arms.values() for scorer in rows["scorer"].unique()})
    if len(scorers) > 1:
        raise InputError(
            f"the scorers {_listed(scorers)} cannot stand in one comparison; "
            "score all arms with the same one"
        )
    _check_paired(arms)
    total = {
        measure: sum(weight * arms[arm][measure] for arm, weight in weights.items())
        for measure in MEASURES
    }
    return pd.DataFrame(total).reset_index()


def _check_paired(arms: Mapping[str, pd.DataFrame]) -> None:
    """Raises InputError where an arm lacks a probe or a seed that another has."""
    first = next(iter(arms.values())).index
    if all(first.equals(rows.index) for rows in arms.values()):
        return
    every = functools.reduce(pd.Index.union, (rows.index for rows in arms.values()))
    arm, lacking = next((a, r) for a, r in arms.items() if len(r) < len(every))
    probe = every.difference(lacking.index)[0]
    raise InputError(
        f"{_where(dict(zip(every.names, probe, strict=True)))}: arm '{arm}' has no answer but "
        "others have; arms are compared on the same probes and seeds, score them again"
    )


def domain_means(paired: pd.DataFrame, measure: str) -> pd.Series:
    """Mean over seeds and probes within each domain; index domain. A cluster mean in the sense of
    Donald and Lang 2007, "Inference with Difference-in-Differences and Other Panel Data"."""
    return paired.groupby("domain")[measure].mean()


def seed_means(paired: pd.DataFrame, measure: str) -> pd.Series:
    """Mean of domain means for each seed; index seed."""
    return paired.groupby(["seed", "domain"])[measure].mean().groupby("seed").mean()


def mean(paired: pd.DataFrame, measure: str) -> float:
    """Mean of domain means: every domain weighs the same."""
    return float(domain_means(paired, measure).mean())


def over_domains(paired: pd.DataFrame, measure: str) -> Interval:
    """The t interval on domain means: what other domains of this kind would give.

    Source: Ibragimov and Müller 2010, "t-Statistic Based Correlation and Heterogeneity Robust
    Inference", JBES 28(4): with one estimate a cluster, Student's t with clusters - 1 degrees of
    freedom keeps its level at 95 % also with few clusters of unequal variance. (A percentile
    bootstrap over 12 clusters covers about 90 %.)
    """
    seeds = paired["seed"].nunique()
    given = "this one seed" if seeds == 1 else f"these {seeds} seeds"
    return t_interval(domain_means(paired, measure), "domains", given)


def over_seeds(paired: pd.DataFrame, measure: str) -> Interval:
    """The t interval on seed means: what other seeds would give on these probes.

    Source: Student 1908; the seeds are independent repetitions of the whole training (Bouthillier
    et al. 2021, "Accounting for Variance in Machine Learning Benchmarks", arXiv 2103.03098).
    """
    return t_interval(seed_means(paired, measure), "seeds", "these probes")


def t_interval(means: Sequence[float] | pd.Series, clusters: str, given: str) -> Interval:
    """Student's t interval on independent cluster means, mean +- t(n - 1) s / sqrt(n).

    Source: Student 1908, "The Probable Error of a Mean", Biometrika 6(1).

    Args:
      means: one mean a cluster.
      clusters: what the clusters are, in the plural, for `Interval.meaning`.
      given: what the interval is conditional on, likewise.

    Raises:
      InputError: fewer than two clusters, or clusters that are all the same: without any spread
        the formula would claim certainty.
    """
    values = np.asarray(means, dtype=float)
    n = len(values)
    if n < 2:
        raise InputError(f"an interval over {clusters} needs at least 2 of them, here is {n}")
    if np.ptp(values) < 1e-9:  # rates that are equal on paper may differ in the last bit
        raise InputError(f"an interval over {clusters} needs spread, here all {n} are equal")
    centre, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error
    return Interval(
        low=float(centre - half),
        high=float(centre + half),
        p=float(2 * stats.t.sf(abs(centre) / error, n - 1)),
        meaning=f"{CONFIDENCE:.0%} t interval on the means of {n} {clusters}, "
        f"conditional on {given}",
    )


def t_ends(means: Sequence[float] | pd.Series) -> tuple[float, float]:
    """The ends of `t_interval`; NaN where there is none."""
    try:
        interval = t_interval(means, "clusters", "these probes")
    except InputError:
        return float("nan"), float("nan")
    return interval.low, interval.high


def holm(p_values: Sequence[float] | pd.Series) -> np.ndarray:
    """p-values of a family of tests, corrected to keep the family-wise error rate.

    That holds whatever the dependence between the tests. Missing p-values stay missing and do not
    count.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6(2).
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # missing ones are sorted last
    corrected = np.full(p.shape, np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def position_bias(answers: pd.DataFrame) -> pd.DataFrame:
    """Position bias of each arm: how much an option's place decides; means over probes and seeds.

    Source: position consistency and the rate of the first option, as in Zheng et al. 2023,
    "Judging LLM-as-a-Judge", arXiv 2306.05685. Without bias
    `chose_first` is .5; where `same_in_both_orders` is 1, the place decided no answer.

    Returns:
      Columns arm; chose_first, the share of answers for the option named first; rate_when_first
      and rate_when_second, the share for the option of `points_to` where it is named first and
      second; same_in_both_orders, the share of probes; ties, the count of margins of zero.
    """
    first, second = _chosen(answers["margin_first"]), _chosen(answers["margin_second"])
    table = pd.DataFrame(
        {
            "arm": answers["arm"],
            "chose_first": (first + 1 - second) / 2,
            "rate_when_first": first,
            "rate_when_second": second,
            "same_in_both_orders": (first == second).astype(float),
        }
    )
    means = table.groupby("arm").mean()
    means["ties"] = (answers["margin"] == 0).groupby(answers["arm"]).sum()
    return means.reset_index()


def points_to(value_0: str | None, value_1: str | None, toward: str) -> str:
    """The value that a positive margin means, as `answers` says of `toward`."""
    if toward in (value_0, value_1):
        return toward
    return str(value_0 if pd.notna(value_0) else value_1)


def _chosen(margin: pd.Series) -> pd.Series:
    """1 where the margin is above zero, 0 where below, .5 at a tie."""
    return (np.sign(margin) + 1) / 2


def _where(row: Mapping) -> str:
    """Probe, file, seed and arm, for an error message."""
    place = f"probe '{row['id']}' of {row['file']}"
    if "seed" in row:
        place += f", seed {row['seed']}"
    if "arm" in row:
        place += f", arm '{row['arm']}'"
    return place


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
