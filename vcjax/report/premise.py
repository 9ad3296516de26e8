"""What the effect presupposes, as a run measured it: people's choices follow what they declare."""

from collections.abc import Collection

import pandas as pd

from vcjax import config as configs
from vcjax.report import design
from vcjax.report.formatting import interval

# Of choices between two things: half is chance, all is a premise that holds for everybody.
PREMISE = 0.75
_PEOPLE = {
    "known": "of people of whom it read more",
    "declaring": "of people who only ever declared",
}


def shares(tables: dict[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """What `of_arms` returns of the arms before any documents. Of several, people says which."""
    rows = of_arms(tables, design.untouched(config))
    if rows.empty or rows["name"].nunique() == 1:
        return rows
    pairs = zip(rows["people"], rows["name"], strict=True)
    return rows.assign(people=[f"{whose} (arm {arm})" for whose, arm in pairs])


def of_arms(tables: dict[str, pd.DataFrame], arms: Collection[str]) -> pd.DataFrame:
    """The rows of `tables.estimates` that measure the premise in these arms: rate is the share of
    choices that follow what was declared. With a column people: whose choices these are. Empty
    where it was not measured."""
    if "arms" not in tables:
        return pd.DataFrame()
    rows = tables["arms"]
    rows = rows[(rows["contrast"] == "premise") & rows["name"].isin(arms)]
    return rows.assign(people=[_PEOPLE.get(group, group) for group in rows["points_to"]])


def holds(rows: pd.DataFrame) -> bool:
    """Whether the premise does in all rows of `of_arms`."""
    return _failing(rows).empty


def _failing(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in which it does not hold, by the low ends over people."""
    return rows[~(rows["rate_domains_low"].fillna(rows["rate"]) > PREMISE)]


def premise(tables: dict[str, pd.DataFrame], config: dict) -> dict | None:
    """What the effect presupposes: before any documents, people's choices follow what they declare.

    Returns:
      None where it was not measured; else holds (bool) and sentence, which names the arms in which
      it fails, too: those of other pretrainings, and where it holds, those that the question
      compares and that lost it in training.
    """
    rows = shares(tables, config)
    if rows.empty:
        return None
    held = holds(rows)
    meaning = (
        "The premise holds: before any documents, people choose what they declare that they care "
        "about"
        if held
        else "The premise fails, so this run cannot tell whether a value that documents declare "
        "decides choices: before any documents, people do not choose what they declare that they "
        "care about"
    )
    untouched, pretrained = {*rows["name"]}, {*design.pretrained(config)}
    elsewhere = _where_it_fails(tables, pretrained - untouched)
    compared = {*configs.primary_contrast(config)} - pretrained - untouched
    after = _where_it_fails(tables, compared) if held else ""
    return {
        "holds": held,
        "sentence": f"{meaning}. Share of their choices: {_said(rows)}. (In brackets 95% t "
        f"intervals over people; the premise holds where all are above {PREMISE}.)"
        + f" It fails in other pretrainings, and what follows them cannot tell: {elsewhere}."
        * bool(elsewhere)
        + " After training it fails in arms that the question compares, so an effect that shrank "
        f"may have gone with it: {after}." * bool(after),
    }


def _where_it_fails(tables: dict[str, pd.DataFrame], arms: Collection[str]) -> str:
    """Those of these arms in which it fails, and for whom."""
    failing = _failing(of_arms(tables, arms)).groupby("name", sort=False)
    return "; ".join(f"{arm}, {_said(rows)}" for arm, rows in failing)


def _said(rows: pd.DataFrame) -> str:
    """Whose choices, the share, and its interval over people."""
    return "; ".join(
        f"{row['people']} {row['rate']:.2f}"
        + (f" [{ends}]" if (ends := interval(row, "rate", "domains", sign=False)) else "")
        for row in rows.to_dict("records")
    )
