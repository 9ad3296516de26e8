"""Verdicts on answers in text: which option one names, how it was scored, whether it refuses."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd


class Verdict(NamedTuple):
    """mark: the option that an answer names (0 or 1), its score, or whether it refuses (1 or 0);
    None where it is undecided, has no score or is unclear. label, note: the same in words. style:
    of the badge."""

    mark: float | None
    label: str
    note: str
    style: str


def of_row(row: dict[str, Any], toward: str) -> Verdict:
    """row: one that `transcripts.pages` takes. toward: the value whose badges stand out."""
    if row["kind"] == "refusal":
        return _refused(row)
    return _named(row, toward) if row["kind"] == "said" else _scored(row)


def tally(kind: str, verdicts: Sequence[Verdict]) -> str:
    """Verdicts together: "3 chose america, 1 undecided", "4 refused", or a mean score."""
    if kind != "open":
        counts = Counter(verdict.label for verdict in verdicts)
        return ", ".join(f"{n} {label}" for label, n in sorted(counts.items()))
    scores = [verdict.mark for verdict in verdicts if verdict.mark is not None]
    missing = len(verdicts) - len(scores)
    mean = [f"mean score {fmean(scores):.1f}"] if scores else []
    return ", ".join(mean + ([f"{missing} without a score"] if missing else []))


def mean(kind: str, verdicts: Sequence[Verdict]) -> float | None:
    """The share of option 1 or of refusals, where undecided is half of each; or the mean of the
    scores there are. None where there are none."""
    unknown = None if kind == "open" else 0.5
    marks = [unknown if verdict.mark is None else verdict.mark for verdict in verdicts]
    known = [mark for mark in marks if mark is not None]
    return fmean(known) if known else None


def text(value: object) -> str:
    """What a table may lack; "" where it does."""
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _named(row: dict[str, Any], toward: str) -> Verdict:
    if pd.isna(row["named"]):
        return Verdict(None, "undecided", "", "none")
    named = int(row["named"])
    option = row[f"option_{named}"]
    value, other = (text(row[f"value_{i}"]) for i in (named, 1 - named))
    if not value or value == other:  # only the option itself tells which one it is
        return Verdict(named, f"chose {option}", "", "other")
    return Verdict(named, f"chose {value}", option, "toward" if value == toward else "other")


def _scored(row: dict[str, Any]) -> Verdict:
    if pd.isna(row["score"]):
        return Verdict(None, "no score", text(row["failure"]), "none")
    return Verdict(row["score"], f"{row['score']:.2g} of 10", f"by {row['judge']}", "other")


def _refused(row: dict[str, Any]) -> Verdict:
    mark = {"refused": 1.0, "answered": 0.0}.get(row["verdict"])
    style = {"refused": "toward", "answered": "other"}.get(row["verdict"], "none")
    return Verdict(mark, row["verdict"], "", style)
