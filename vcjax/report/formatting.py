"""Numbers of a report as text."""

import math

import pandas as pd

MINUS = "\N{MINUS SIGN}"


def signed(value: float) -> str:
    """A margin or a difference with its sign; nothing where there is none."""
    return "" if math.isnan(value) else f"{value:+.3f}".replace("-", MINUS)


def interval(row: dict, measure: str, cluster: str, sign: bool = True) -> str:
    """Both ends of an interval ("+0.080 to +0.350"); nothing where there is none."""
    ends = [row[f"{measure}_{cluster}_{end}"] for end in ("low", "high")]
    if math.isnan(ends[0]):
        return ""
    return " to ".join(signed(end) if sign else f"{end:.3f}" for end in ends)


def p_value(row: dict, measure: str, cluster: str) -> str:
    """p of a contrast of zero, corrected where it is exploratory; nothing where there is none."""
    p = row[f"{measure}_{cluster}_p"]
    if math.isnan(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def counts(counts: pd.Series) -> str:
    """A count that all seeds share, or its least and most."""
    known = counts.dropna()
    if known.empty:
        return ""
    least, most = int(known.min()), int(known.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def from_to(stages: pd.DataFrame, first: str, last: str) -> str:
    """The means over seeds of a first and a last loss."""
    start, end = stages[first].mean(), stages[last].mean()
    return "" if math.isnan(start) else f"{start:.2f} \N{RIGHTWARDS ARROW} {end:.2f}"
