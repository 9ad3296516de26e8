"""How many times less of something is needed with a help than without it, from two measured curves.

At the rate that series b reaches at its largest x: how many times less x does series a need? A
curve goes in straight lines between its levels, over the logarithm of x; nothing is read off beyond
them. What a seed cannot tell, it gives a bound of.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from vcjax.errors import InputError
from vcjax.report import statistics
from vcjax.report.formatting import compact

Levels = Mapping[float, float]  # x, 0 or more -> rate, a difference between arms


class Times(NamedTuple):
    """How many times less x: value, or where bound is "least" or "most" that or more, or that or
    less; nothing (and value nan) where there is no rate to reach."""

    value: float
    bound: Literal["", "least", "most", "nothing"] = ""


def times(a: Levels, b: Levels) -> Times:
    """How many times less x series a needs for the rate that series b has at its largest x.

    Where a's rates go up and down, the least x at which they reach it counts. A rate of zero or
    below is no rate to reach.
    """
    largest = max(b)
    if b[largest] <= 0:
        return Times(math.nan, "nothing")
    levels = sorted(a.items())
    least = min(x for x in a if x > 0)
    if any(rate >= b[largest] for x, rate in levels if x <= least):
        return Times(largest / least, "least")
    positive = [(x, rate) for x, rate in levels if x > 0]
    for (x, rate), (next_x, next_rate) in itertools.pairwise(positive):
        if next_rate >= b[largest]:
            share = (b[largest] - rate) / (next_rate - rate)
            return Times(largest / (x * (next_x / x) ** share))
    return Times(largest / levels[-1][0], "most")


def sentence(name: str, curve: dict, seeds: pd.DataFrame) -> str:
    """How many times less x the first of a curve's `fewer` needs than the second, over seeds; ""
    where the curve does not ask.

    It is the geometric mean over seeds, with its t interval; a bound of it where some seeds have
    only a bound, and no number where these go both ways or there is nothing to reach.

    Args:
      name: of the curve. curve: it, as the config has it.
      seeds: what `tables.by_cluster` returns for "seed", on held-out pairs.
    """
    if not curve["fewer"]:
        return ""
    a, b = curve["fewer"]
    rates = seeds[seeds["kind"] == "contrast"].pivot(index="seed", columns="name", values="rate")
    by_seed = [times(*(_levels(curve["series"][of], row) for of in (a, b))) for row in rates.iloc]
    largest = compact(max(curve["series"][b].values()))
    return (
        f"To reach the rate that {b} has at {name} = {largest}, {a} needs {_number(by_seed)}."
        + "".join(_bounded(a, b, by_seed))
    )


def _levels(series: dict[str, float], rates: pd.Series) -> Levels:
    return {x: float(rates[contrast]) for contrast, x in series.items()}


def _number(by_seed: Sequence[Times]) -> str:
    """The geometric mean and what it is, as text."""
    bounds = {of_seed.bound for of_seed in by_seed} - {""}
    if "nothing" in bounds or len(bounds) > 1:
        return "a number of times less that these seeds cannot tell"
    logs = np.log([of_seed.value for of_seed in by_seed])
    than = {"least": "at least ", "most": "at most "}.get(next(iter(bounds), ""), "")
    mean = f"{than}{compact(np.exp(logs.mean()))} times less"
    if len(by_seed) == 1:
        return f"{mean} (one seed)"
    of = f"geometric mean of {len(by_seed)} seeds"
    if bounds:
        few = "all" if all(of_seed.bound for of_seed in by_seed) else "some"
        return f"{mean} ({of}, {few} of them bounds)"
    try:
        over = statistics.t_interval(logs, "seeds", "these probes")
    except InputError:  # equal in all seeds
        return f"{mean} ({of})"
    ends = " to ".join(compact(np.exp(end)) for end in (over.low, over.high))
    return f"{mean} [{ends}] ({of}; in brackets the 95% t interval over seeds)"


def _bounded(a: str, b: str, by_seed: Sequence[Times]) -> Iterator[str]:
    """A sentence on each kind of seeds without a number of their own."""
    says = {
        "least": f"{a} has that rate already at its smallest level above 0, or at 0",
        "most": f"{a} does not reach it at any level",
        "nothing": f"{b} has no rate above 0 there",
    }
    bounds = [of_seed.bound for of_seed in by_seed]
    for bound, what in says.items():
        if bound in bounds:
            yield f" In {bounds.count(bound)} of {len(bounds)} seeds {what}."
