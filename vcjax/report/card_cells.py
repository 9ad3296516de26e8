"""The card of each model as a table of a page: a row an arm, a column a measure.

`tables` are those of a report, `config` is the run's, as JSON.
"""

import math
from typing import Any

import pandas as pd

from vcjax import config as configs
from vcjax.report.card import control_of
from vcjax.report.formatting import interval, signed

# Measure -> its title, in the order of the columns.
TITLES = {
    "in_domain": "In-domain accuracy",
    "format": "Format accuracy",
    "premise": "Premise",
    "perplexity_ratio": "Perplexity",
    "same_in_both_orders": "Same in both orders",
    "decided": "Decided",
    "knowledge": "Knowledge",
    "refused_harmless": "Refused, harmless",
    "unclear_harmless": "Unclear, harmless",
    "refused_harmful": "Refused, harmful",
    "unclear_harmful": "Unclear, harmful",
    "evaluation": "Evaluation",
}

Cell = tuple[str, list[str]]  # a number, and lines in small print


def cells(tables: dict[str, pd.DataFrame], config: dict) -> dict[str, Any]:
    """What the page shows of `card.table` and of perplexities; empty where nothing is measured but
    what the page says of position bias anyway.

    Returns:
      measures (those that there are), columns (title, small print), rows (arm, `Cell`s, its
      control), between (arms that end before the demonstrations of others, and these).
    """
    card = tables["card"]
    measures = {*card["measure"]} if len(card) else set()
    if measures <= {"same_in_both_orders"}:
        return {}
    groups = [(str(m), str(of), rows) for (m, of), rows in card.groupby(["measure", "of"])]
    columns, of_columns = [], []
    for measure, of, rows in sorted(groups, key=lambda group: [*TITLES].index(group[0])):
        if measure == "perplexity_ratio":
            note, of_arms = _of_perplexity(tables["perplexity"], of)
        else:
            note, of_arms = _of_shares(rows, of if _is_one_of_several(measure, card) else "")
        columns.append((TITLES[measure], note))
        of_columns.append(of_arms)
    table = [
        (arm, [of_arms.get(arm, ("", [])) for of_arms in of_columns], control_of(arm, config))
        for arm in config["arms"]
    ]
    between = _between(config) if "knowledge" in measures else []
    return {"measures": measures, "columns": columns, "rows": table, "between": between}


def _is_one_of_several(measure: str, card: pd.DataFrame) -> bool:
    """Whether a column has to say on what it is; that of the premise always names the people, that
    of an evaluation its name and the mark."""
    return (
        measure in ("premise", "evaluation")
        or card.loc[card["measure"] == measure, "of"].nunique() > 1
    )


def _of_shares(rows: pd.DataFrame, of: str) -> tuple[str, dict[str, Cell]]:
    """The small print of a column's title, and its cells by arm. The interval is over domains (the
    clusters of an evaluation), or over seeds where there is one domain."""
    probes, cluster = rows["probes"].max(), "domains" if rows["domains"].max() > 1 else "seeds"
    has_interval = bool(rows[f"difference_{cluster}_low"].notna().any())
    words = {"probes": "probes", "domains": "domains", "seeds": "seeds"}
    if (rows["measure"] == "evaluation").all():
        words |= {"probes": "samples", "domains": "clusters"}
    parts = [f"{probes} {words['probes']}", of, f"over {words[cluster]}" if has_interval else ""]
    cells = {row["arm"]: _share(row, cluster) for row in rows.to_dict("records")}
    return ", ".join(filter(None, parts)), cells


def _share(row: dict[str, Any], cluster: str) -> Cell:
    small = []
    if row["own"]:
        before = "" if math.isnan(row["control_value"]) else f", before {row['control_value']:.3f}"
        small.append(f"{row['own']}{before}")
    if not math.isnan(row["difference"]):
        ends = interval(row, "difference", cluster)
        small.append(signed(row["difference"]) + (f" [{ends}]" if ends else ""))
    return f"{row['value']:.3f}", small


def _of_perplexity(texts: pd.DataFrame, file: str) -> tuple[str, dict[str, Cell]]:
    rows = texts[texts["file"] == file]
    cells = {row["arm"]: _perplexity(row) for row in rows.to_dict("records")}
    return f"{file}, {rows['tokens'].iloc[0]} tokens", cells


def _perplexity(row: dict[str, Any]) -> Cell:
    ratio = "" if math.isnan(row["ratio"]) else f"\N{MULTIPLICATION SIGN}{row['ratio']:.2f}"
    ends = [row["seeds_low"], row["seeds_high"]]
    over = "" if math.isnan(ends[0]) else " to ".join(f"{end:.1f}" for end in ends)
    return f"{row['perplexity']:.1f}", [*filter(None, [", ".join(filter(None, (ratio, over)))])]


def _between(config: dict) -> list[tuple[str, list[str]]]:
    """Arms that end with documents, each with those that go on from there."""
    found = []
    for arm, names in config["arms"].items():
        stages, end = configs.chain_of(config, arm)
        if end is None and stages and config["stages"][stages[-1]]["kind"] == "rationale":
            longer = [
                other
                for other, more in config["arms"].items()
                if [*more[: len(names)]] == [*names] and len(more) > len(names)
            ]
            found += [(arm, longer)] if longer else []
    return found
