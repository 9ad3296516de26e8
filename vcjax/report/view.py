"""What a report says, from its tables: the answer in words, the groups of probes, the summary."""

import math

import pandas as pd

from vcjax import config as configs
from vcjax.report import statistics, tables

_MINUS = "\N{MINUS SIGN}"
_SPLITS = {"held_out": "Held-out", "development": "Development"}
_KINDS = {
    "values": "pairs of two values",
    "neutral": "pairs of one value and an option with neither",
    "format": "format probes",
}


def answer(made: dict[str, pd.DataFrame], config: dict) -> dict[str, str]:
    """The question, its answer in one sentence, and what other seeds would add."""
    name, toward = config["primary"], config["toward"]
    weights = tables.formula(config["contrasts"][name])
    question = (
        f"Does {name} ({weights}) move answers toward {toward}, "
        "in domains that training never covered?"
    )
    row = primary(made)
    if row is None:
        return {
            "question": question,
            "verdict": "Not measured:",
            "sentence": f"no held-out pair with {toward} against another value was scored.",
            "domains": "",
            "seeds": "",
        }
    margin, rate = (_with_interval(row, measure, "domains") for measure in statistics.MEASURES)
    seeds = f"Over seeds: {row['over_seeds']}"
    if not math.isnan(row["margin_seeds_low"]):
        over = (interval(row, measure, "seeds") for measure in statistics.MEASURES)
        seeds += ": margin {}, rate {}".format(*over)
    return {
        "question": question,
        "verdict": _verdict(row),
        "sentence": f"on {row['probes']} held-out pairs the margin toward {toward} moves by "
        f"{margin} nats a token, the rate of {toward} choices by {rate}.",
        "domains": f"In brackets: {row['over_domains']}.",
        "seeds": seeds + ".",
    }


def asked_before(run: dict) -> str:
    """Where the primary contrast is not the one that was named before the run: that one."""
    now = configs.named(run["config"])
    named = run.get("named", now)  # runs before version 0.3 did not keep it
    if named == now:
        return ""
    weights = tables.formula(named["contrast"])
    return (
        f"Before the run another question was named, {named['primary']} ({weights}) toward "
        f"{named['toward']}; the primary contrast shown here was chosen later."
    )


def example(answers: pd.DataFrame, config: dict) -> dict | None:
    """The first held-out pair, to show what was asked."""
    group = answers[_in(answers, tables.headline(config))]
    return next(iter(group.sort_values(["file", "id"]).to_dict("records")), None)


def groups(made: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The tables cut by group of probes, for the page; the headline comes first."""
    found = []
    for key in made["arms"][tables.GROUP].drop_duplicates().to_dict("records"):
        own = {name: made[name][_in(made[name], key)] for name in ("arms", "contrasts", "domains")}
        arms = own["arms"].to_dict("records")
        in_domain, form = key["scope"] == "in_domain", key["contrast"] == "format"
        kind = "in-domain probes" if in_domain and not form else _KINDS[key["contrast"]]
        found.append(
            {
                **key,
                "title": f"{_SPLITS[key['split']]} {kind}, toward {key['points_to']}",
                "headline": key == tables.headline(config),
                "accuracy": in_domain or form,
                "arms": arms,
                "contrasts": own["contrasts"].to_dict("records"),
                "domains": _by_domain(own["domains"], config),
                "positions": made["positions"][_in(made["positions"], key)].to_dict("records"),
                "probes": arms[0]["probes"],
                "over_domains": own["arms"]["over_domains"].iloc[0],
                "over_seeds": own["contrasts"]["over_seeds"].iloc[0],
                "has_seeds": bool(own["contrasts"]["margin_seeds_low"].notna().any()),
            }
        )
    return found


def summary(made: dict[str, pd.DataFrame], config: dict) -> list[str]:
    """Five lines in plain characters, whatever the number of arms."""
    said = answer(made, config)
    shown = groups(made, config)[0]
    conditions = f"{said['domains']} {said['seeds']}" if shown["headline"] else shown["title"]
    columns = [["", "rate", "margin"]]
    for row in shown["arms"]:
        columns.append([row["name"], f"{row['rate']:.3f}", f"{row['margin']:+.3f}"])
    widths = [max(map(len, column)) for column in columns]
    lines = [f"{said['verdict']} {said['sentence']}", conditions]
    for name, *cells in zip(*columns, strict=True):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned]))
    return [line.replace(_MINUS, "-") for line in lines]


def signed(value: float) -> str:
    """A margin or a difference with its sign; nothing where there is none."""
    return "" if math.isnan(value) else f"{value:+.3f}".replace("-", _MINUS)


def interval(row: dict, measure: str, cluster: str, sign: bool = True) -> str:
    """Both ends of an interval ("+0.080 to +0.350"); nothing where there is none."""
    ends = [row[f"{measure}_{cluster}_{end}"] for end in ("low", "high")]
    if math.isnan(ends[0]):
        return ""
    return " to ".join(signed(end) if sign else f"{end:.3f}" for end in ends)


def primary(made: dict[str, pd.DataFrame]) -> dict | None:
    """The row of the primary contrast; None where no probe of its group was scored."""
    rows = made["contrasts"]
    return next(iter(rows[rows["role"] == "primary"].to_dict("records")), None)


def _verdict(row: dict) -> str:
    """In words, from the margin's two intervals: a yes of these seeds alone is said to be one."""
    low, high = row["margin_domains_low"], row["margin_domains_high"]
    if math.isnan(low):
        return "No interval, so no answer:"
    if low <= 0 <= high:
        return "No difference that these domains can show:"
    said = "Yes" if low > 0 else "No, the other way round"
    if row["margin_seeds_low"] > 0 or row["margin_seeds_high"] < 0:
        return f"{said}:"
    return f"{said} for the seeds trained here, open for others:"


def _with_interval(row: dict, measure: str, cluster: str) -> str:
    ends = interval(row, measure, cluster)
    return signed(row[measure]) + (f" [{ends}]" if ends else "")


def _by_domain(table: pd.DataFrame, config: dict) -> dict:
    """Domains as rows; the arms and the primary contrast as columns of (margin, rate)."""
    names = [("arm", arm) for arm in config["arms"]] + [("contrast", config["primary"])]
    cells = {
        (row.domain, row.kind, row.name): (row.margin, row.rate)
        for row in table.itertuples(index=False)
    }
    domains = sorted(set(table["domain"]))
    return {
        "columns": names,
        "rows": [(domain, [cells[domain, *name] for name in names]) for domain in domains],
    }


def _in(table: pd.DataFrame, group: dict) -> pd.Series:
    return (table[tables.GROUP] == pd.Series(group)[tables.GROUP]).all(axis=1)
