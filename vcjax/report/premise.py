"""What the effect presupposes, as a run measured it: people's choices follow what they declare."""

import pandas as pd

from vcjax.report import design
from vcjax.report.formatting import interval

# Of choices between two things: half is chance, all is a premise that holds for everybody.
PREMISE = 0.75
_PEOPLE = {
    "known": "of people whose choices it was trained on",
    "declaring": "of people who only ever declared",
}


def shares(tables: dict[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """The rows of `tables.estimates` that measure the premise, of the arms before any documents:
    rate is the share of choices that follow what was declared. With a column people: whose choices
    these are. Empty where it was not measured."""
    if "arms" not in tables:
        return pd.DataFrame()
    rows = tables["arms"]
    rows = rows[(rows["contrast"] == "premise") & rows["name"].isin(design.untouched(config))]
    several = rows["name"].nunique() > 1
    people = [_PEOPLE.get(group, group) for group in rows["points_to"]]
    return rows.assign(
        people=[
            f"{whose} (arm {arm})" if several else whose
            for whose, arm in zip(people, rows["name"], strict=True)
        ]
    )


def premise(tables: dict[str, pd.DataFrame], config: dict) -> dict | None:
    """What the effect presupposes: before any documents, people's choices follow what they declare.

    Returns:
      None where it was not measured; else holds (bool) and sentence.
    """
    rows = shares(tables, config)
    if rows.empty:
        return None
    parts = [
        f"{row['people']} {row['rate']:.2f}"
        + (f" [{ends}]" if (ends := interval(row, "rate", "domains", sign=False)) else "")
        for row in rows.to_dict("records")
    ]
    least = rows["rate_domains_low"].fillna(rows["rate"]).min()
    holds = bool(least > PREMISE)
    meaning = (
        "The premise holds: before any documents, people choose what they declare that they care "
        "about"
        if holds
        else "The premise fails, so this run cannot tell whether a value that documents declare "
        "decides choices: before any documents, people do not choose what they declare that they "
        "care about"
    )
    return {
        "holds": holds,
        "sentence": f"{meaning}. Share of their choices: {'; '.join(parts)}. (In brackets 95% t "
        f"intervals over people; the premise holds where all are above {PREMISE}.)",
    }
