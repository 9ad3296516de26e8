"""Numbers of a report as text."""

import json
import math
from collections.abc import Iterator

import pandas as pd

MINUS = "\N{MINUS SIGN}"


def signed(value: float) -> str:
    """A margin or a difference with its sign; nothing where there is none."""
    return "" if math.isnan(value) else f"{value:+.3f}".replace("-", MINUS)


def plain(value: str | float) -> str:
    """A rate, a loss or a count; nothing where there is none."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def compact(value: float) -> str:
    """A number in few characters: "1.5M", "640k", "1,024", "0.05"."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.3g}k" if abs(value) >= 1e4 else f"{value:,.4g}"


def flat(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested dicts as ("a.b.c", value as JSON, strings as they are)."""
    if isinstance(tree, dict) and tree:
        for key, branch in tree.items():
            yield from flat(branch, f"{path}.{key}" if path else key)
    else:
        yield path, as_text(tree)


def as_text(value: object) -> str:
    """A string as it is, another value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def aligned(columns: list[list[str]]) -> list[str]:
    """Lines of a table, given as columns; the first is aligned to the left, others to the right."""
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for name, *cells in zip(*columns, strict=True):
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *padded]))
    return lines


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


def number_of(count: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
