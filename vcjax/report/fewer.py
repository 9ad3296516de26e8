"""How many times fewer of something do it with a help than without it, from measured curves.

What series b has at its largest x, a margin or a rate: how many times fewer x does another series,
a, need to have it? A curve goes in straight lines between its levels, over the logarithm of x;
nothing is read off beyond them. What a seed cannot tell, it gives a bound of.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from vcjax.report import statistics
from vcjax.report.formatting import compact
from vcjax.report.tables import headline, in_group

Levels = Mapping[float, float]  # x, 0 or more -> margin or rate, a difference between arms

_BOUNDS = ("least", "most", "nothing")
_MEAN = ("times", "bound", "seeds_low", "seeds_high")


class Times(NamedTuple):
    """How many times fewer x: value, or where bound is "least" or "most" that or more, or that or
    less; nothing (and value nan) where there is nothing to reach."""

    value: float
    bound: Literal["", "least", "most", "nothing"] = ""


def times(a: Levels, b: Levels) -> Times:
    """How many times fewer x series a needs for what series b has at its largest x.

    Where a goes up and down, the least x at which it reaches that counts. Zero or below is nothing
    to reach.
    """
    largest = max(b)
    if b[largest] <= 0:
        return Times(math.nan, "nothing")
    levels = sorted(a.items())
    least = min(x for x in a if x > 0)
    if any(effect >= b[largest] for x, effect in levels if x <= least):
        return Times(largest / least, "least")
    positive = [(x, effect) for x, effect in levels if x > 0]
    for (x, effect), (next_x, next_effect) in itertools.pairwise(positive):
        if next_effect >= b[largest]:
            share = (b[largest] - effect) / (next_effect - effect)
            return Times(largest / (x * (next_x / x) ** share))
    return Times(largest / levels[-1][0], "most")


def table(curves: Iterable[str], tables: dict[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """How many times fewer the other series of a curve need than its `fewer_than`, over seeds.

    Args:
      curves: names of curves of the config whose contrasts were measured.
      tables: those of `tables.make_tables`.

    Returns:
      A row a measure (margin and rate) of each of these series. Columns curve, measure, a, b (the
      series), x (the largest of b), seeds (count), and of how many of them there is a bound only:
      least, most, nothing, as of `times`; times (the geometric mean over seeds), bound (what it is:
      "", "least" or "most"), seeds_low, seeds_high (its 95 % t interval). times is missing where
      bounds go both ways or there is nothing to reach, the interval where there are bounds or no
      spread.
    """
    columns = ["curve", "measure", "a", "b", "x", "seeds", *_BOUNDS, *_MEAN]
    rows: list[list[Any]] = []
    for name in curves:
        series, b = config["curves"][name]["series"], config["curves"][name]["fewer_than"]
        if not b:
            continue
        effects = {of: _by_seed(tables["seeds"], config, of) for of in statistics.MEASURES}
        for a, measure in itertools.product([a for a in series if a != b], effects):
            found = [
                times(_levels(series[a], of_seed), _levels(series[b], of_seed))
                for of_seed in effects[measure].iloc
            ]
            counts = [sum(of_seed.bound == bound for of_seed in found) for bound in _BOUNDS]
            largest = max(series[b].values())
            rows.append([name, measure, a, b, largest, len(found), *counts, *_over_seeds(found)])
    return pd.DataFrame(rows, columns=columns)


def _by_seed(seeds: pd.DataFrame, config: dict, measure: str) -> pd.DataFrame:
    """A row a seed, a column a contrast, on held-out pairs."""
    rows = seeds[in_group(seeds, headline(config)) & (seeds["kind"] == "contrast")]
    return rows.pivot(index="seed", columns="name", values=measure)


def _levels(series: dict[str, float], effects: pd.Series) -> Levels:
    return {x: float(effects[contrast]) for contrast, x in series.items()}


def _over_seeds(found: Sequence[Times]) -> tuple[float, str, float, float]:
    """The geometric mean, whether it is a bound, and the ends of its interval; as of `table`."""
    bounds = {of_seed.bound for of_seed in found} - {""}
    if "nothing" in bounds or len(bounds) > 1:
        return math.nan, "", math.nan, math.nan
    logs = np.log([of_seed.value for of_seed in found])
    mean = float(np.exp(logs.mean()))
    if bounds:
        return mean, bounds.pop(), math.nan, math.nan
    low, high = np.exp(statistics.t_ends(logs))  # NaN of one seed, or where all are equal
    return mean, "", float(low), float(high)


def as_text(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `table` for a page: a, b, x, measure, times and over_seeds; bounded is a line on
    each kind of seeds that have a bound only."""
    a, b, seeds = row["a"], row["b"], row["seeds"]
    says = {
        "least": f"{a} has it already at its smallest level above 0, or at 0",
        "most": f"{a} has it at no level",
        "nothing": f"{b} has nothing above 0 there",
    }
    times, least, most = (row[key] for key in ("times", "seeds_low", "seeds_high"))
    than = f"at {row['bound']} " if row["bound"] else ""
    return {
        **{"a": a, "b": b, "x": compact(row["x"]), "measure": row["measure"]},
        "times": "these seeds cannot tell" if math.isnan(times) else than + compact(times),
        "over_seeds": "" if math.isnan(least) else f"{compact(least)} to {compact(most)}",
        "bounded": [f"in {row[key]} of {seeds} {what}" for key, what in says.items() if row[key]],
    }
