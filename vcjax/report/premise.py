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


def premise(tables: dict[str, pd.DataFrame], config: dict) -> dict | None:
    """What the effect presupposes: before any documents, people's choices follow what they declare.

    Returns:
      None where it was not measured; else holds (bool) and sentence.
    """
    if "arms" not in tables:
        return None
    rows = tables["arms"]
    rows = rows[(rows["contrast"] == "premise") & rows["name"].isin(design.untouched(config))]
    if rows.empty:
        return None
    parts = [
        f"{_PEOPLE.get(row['points_to'], row['points_to'])} {row['rate']:.2f}"
        + (f" [{ends}]" if (ends := interval(row, "rate", "domains", sign=False)) else "")
        + (f" (arm {row['name']})" if rows["name"].nunique() > 1 else "")
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
