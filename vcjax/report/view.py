"""What a report says, from its tables: the answer in words, the groups of probes, the summary."""

import math

import pandas as pd

from vcjax import config as configs
from vcjax.record import Record
from vcjax.report import controls, statistics, tables
from vcjax.report.reading import analysis_sha256

_MINUS = "\N{MINUS SIGN}"
_SPLITS = {"held_out": "Held-out", "development": "Development"}
_KINDS = {
    "values": "pairs of two values",
    "neutral": "pairs of one value and an option with neither",
    "format": "format probes",
}
_ONLY_TOTAL = (
    "This is the total effect: without documents about another assistant a run cannot tell "
    "exposure to their words from attribution to the model."
)


def answer(made: dict[str, pd.DataFrame], config: dict) -> dict[str, str]:
    """The question, its answer in one sentence, and what other seeds would add."""
    name, toward = config["primary"], config["toward"]
    weights = tables.formula(config["contrasts"][name])
    question = controls.question(name, weights, config)
    row = primary(made)
    if row is None:
        return {
            "question": question,
            "verdict": "Not measured:",
            "sentence": f"no held-out pair with {toward} against another value was scored.",
            "domains": "",
            "seeds": "",
            "limits": "",
        }
    margin, rate = (_with_interval(row, measure, "domains") for measure in statistics.MEASURES)
    roles = {controls.role(name, config) for name in config["contrasts"]}
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
        "seeds": f"{seeds}.{_seed_by_seed(made, config)}",
        "limits": _ONLY_TOTAL if roles - {None} == {"total"} else "",
    }


def ability(made: dict[str, pd.DataFrame], config: dict) -> str:
    """Whether the model can answer in this form at all, and what training cost it; "" where that
    was not measured, also of the untouched model."""
    untouched = controls.untouched(config)
    said = []
    for group in groups(made, config) if untouched else ():
        if group["contrast"] == "format":
            right = {row["name"]: row["rate"] for row in group["arms"]}
            before, after = right[untouched[0]], [right[arm] for arm in right.keys() - {*untouched}]
            said.append(
                f"Of {group['probes']} choices with an obvious answer the untouched model gets "
                f"{before:.0%} right, the trained arms {min(after):.0%} to {max(after):.0%}."
            )
    texts = made["perplexity"]
    if untouched and len(texts):
        ratios = texts.loc[~texts["arm"].isin(untouched), "ratio"]
        said.append(
            "Training multiplies the perplexity of a text about other things by "
            f"{ratios.min():.2f} to {ratios.max():.2f}."
        )
    return " ".join(said)


def numbers(made: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The contrasts that a report leads with, where the config has more than one of them: the rows
    of `tables.levels` on held-out pairs, with says (what the number is)."""
    rows = made["contrasts"][tables.in_group(made["contrasts"], tables.headline(config))]
    found = [
        {**row, "says": controls.contrast(row["name"], config)}
        for row in rows.to_dict("records")
        if controls.role(row["name"], config)
    ]
    return found if len(found) > 1 else []


def arms(config: dict) -> list[dict]:
    """What each arm is trained on and what it rules out."""
    return [{"name": name, **controls.arm(name, config)._asdict()} for name in config["arms"]]


def contrasts(config: dict, shown: list[dict]) -> list[dict]:
    """What each contrast says, where that is known and not shown already (by `numbers`)."""
    names = {*config["contrasts"]} - {row["name"] for row in shown}
    said = {name: controls.contrast(name, config) for name in config["contrasts"] if name in names}
    return [{"name": name, "says": says} for name, says in said.items() if says]


def asked_before(run: Record) -> str:
    """What differs from what was fixed before the run: question, exclusions, code of analysis."""
    now, before = configs.preregistration(run.config), run.preregistration
    said = []
    if run.analysis != analysis_sha256():
        said.append("The code of the analysis is not the one from before the run.")
    if now["exclude"] != before["exclude"]:
        excluded = ", ".join(before["exclude"]) or "none"
        said.append(f"Before the run other probes were excluded: {excluded}.")
    if now | {"exclude": []} != before | {"exclude": []}:
        said.append(_named_before(before))
    return " ".join(said)


def _named_before(named: dict) -> str:
    weights = tables.formula(named["contrast"])
    return (
        f"Before the run another question was named, {named['primary']} ({weights}) toward "
        f"{named['toward']}; the primary contrast shown here was chosen later."
    )


def example(answers: pd.DataFrame, config: dict) -> dict | None:
    """The first held-out pair, to show what was asked."""
    group = answers[tables.in_group(answers, tables.headline(config))]
    return next(iter(group.sort_values(["file", "id"]).to_dict("records")), None)


def groups(made: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The tables cut by group of probes, for the page; the headline comes first."""
    found = []
    for key in made["arms"][tables.GROUP].drop_duplicates().to_dict("records"):
        own = {
            name: made[name][tables.in_group(made[name], key)]
            for name in ("arms", "contrasts", "domains", "positions")
        }
        in_domain, form = key["scope"] == "in_domain", key["contrast"] == "format"
        kind = "in-domain probes" if in_domain and not form else _KINDS[key["contrast"]]
        found.append(
            {
                **key,
                "title": f"{_SPLITS[key['split']]} {kind}, toward {key['points_to']}",
                "headline": key == tables.headline(config),
                "accuracy": in_domain or form,
                "short": "In-domain accuracy" if not form else "Format accuracy",
                "liking": key["contrast"] == "neutral" and not in_domain,
                "arms": own["arms"].to_dict("records"),
                "contrasts": own["contrasts"].to_dict("records"),
                "domains": _by_domain(own["domains"], config),
                "positions": own["positions"].to_dict("records"),
                "probes": own["arms"]["probes"].iloc[0],
                "over_domains": own["arms"]["over_domains"].iloc[0],
                "over_seeds": own["contrasts"]["over_seeds"].iloc[0],
                "has_seeds": bool(own["contrasts"]["margin_seeds_low"].notna().any()),
            }
        )
    return found


def by_explicitness(made: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The leading contrasts on explicit and on implicit pairs: dicts of title and rows."""
    table = made["explicitness"]
    if table.empty:
        return []
    table = table[table["name"].isin(controls.leading(config))]
    return [
        {
            "title": f"{kind.capitalize()}, {rows['probes'].iloc[0]} pairs",
            "rows": rows.to_dict("records"),
        }
        for kind, rows in table.groupby("explicitness")
    ]


def liking(found: list[dict], config: dict) -> list[dict]:
    """The leading contrasts of each of `groups` that sets one value against an option with neither,
    the config's value first: dicts of title, rows and the group."""
    chosen = sorted(
        (group for group in found if group["liking"]),
        key=lambda group: group["points_to"] != config["toward"],
    )
    names = controls.leading(config)
    return [
        {
            "title": f"{group['title']}, {group['probes']} probes",
            "rows": [row for row in group["contrasts"] if row["name"] in names],
            "group": group,
        }
        for group in chosen
    ]


def installed(made: dict[str, pd.DataFrame], config: dict) -> dict:
    """What training installed and what it cost: arms as rows; as columns the accuracies and the
    perplexities, each cell (number, its interval over seeds and other small print)."""
    columns, cells = [], []
    for group in groups(made, config):
        if group["accuracy"]:
            columns.append((group["short"], f"{group['probes']} probes"))
            rows = {row["name"]: row for row in group["arms"]}
            cells.append(
                {
                    arm: (f"{row['rate']:.3f}", interval(row, "rate", "seeds", sign=False))
                    for arm, row in rows.items()
                }
            )
    texts = made["perplexity"]
    for file, rows in texts.groupby("file") if len(texts) else ():
        columns.append(("Perplexity", f"{file}, {rows['tokens'].iloc[0]} tokens"))
        cells.append({row["arm"]: _perplexity(row) for row in rows.to_dict("records")})
    table = [(arm, [column[arm] for column in cells]) for arm in config["arms"]]
    return {"columns": columns, "rows": table if columns else []}


def training_by_chain(training: pd.DataFrame) -> list[dict[str, str]]:
    """One row a chain of stages: counts and losses over its seeds, as text."""
    rows = []
    for chain, stages in training.groupby("chain", sort=False):
        rows.append(
            {
                "stage": str(chain),
                "arms": f"in {stages['arms'].iloc[0]}, {len(stages)} seeds",
                "records": _range(stages["documents"]),
                "tokens": _range(stages["tokens"]),
                "with weight": _range(stages["weighted_tokens"]),
                "updates": _range(stages["updates"]),
                "warm-up": _range(stages["warmup"]),
                "loss": _from_to(stages, "loss_first", "loss_last"),
                "held-out loss": _from_to(stages, "held_out_first", "held_out_last"),
                "lowest at": _range(stages["minimum_step"]),
            }
        )
    return rows


def summary(made: dict[str, pd.DataFrame], config: dict) -> list[str]:
    """Five lines in plain characters, whatever the number of arms; of many, those that matter."""
    said = answer(made, config)
    shown = groups(made, config)[0]
    conditions = f"{said['domains']} {said['seeds']}" if shown["headline"] else shown["title"]
    lines = [f"{said['verdict']} {said['sentence']}", conditions]
    lines += _arms_as_columns(shown["arms"], _few_arms(config))
    return [line.replace(_MINUS, "-") for line in lines]


def summary_of_added(made: dict[str, pd.DataFrame], config: dict) -> list[str]:
    """Lines on probes that were scored after the run: each group's arms, the headline first; or the
    perplexities of a text."""
    lines = ["Exploratory, chosen after the run:"]
    for group in groups(made, config) if "arms" in made else ():
        lines += [f"{group['title']}, {group['probes']} probes"]
        lines += _arms_as_columns(group["arms"], _few_arms(config))
    for row in made["perplexity"].to_dict("records") if len(made["perplexity"]) else ():
        lines.append(f"perplexity of {row['file']}, arm {row['arm']}: {row['perplexity']:.1f}")
    return [line.replace(_MINUS, "-") for line in lines]


def _arms_as_columns(arms: list[dict], names: list[str]) -> list[str]:
    """A line of the arms' names, one of their rates, one of their margins."""
    columns = [["", "rate", "margin"]]
    for row in arms:
        if row["name"] in names:
            columns.append([row["name"], f"{row['rate']:.3f}", f"{row['margin']:+.3f}"])
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for name, *cells in zip(*columns, strict=True):
        aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *aligned]))
    return lines


def _few_arms(config: dict) -> list[str]:
    """All arms if they fit into a line, else the untouched model and those of the question."""
    if len(config["arms"]) <= 6:
        return list(config["arms"])
    primary = config["contrasts"][config["primary"]]
    return [arm for arm, stages in config["arms"].items() if not stages or arm in primary]


def signed(value: float) -> str:
    """A margin or a difference with its sign; nothing where there is none."""
    return "" if math.isnan(value) else f"{value:+.3f}".replace("-", _MINUS)


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


def primary(made: dict[str, pd.DataFrame]) -> dict | None:
    """The row of the primary contrast; None where no probe of its group was scored."""
    rows = made["contrasts"]
    return next(iter(rows[rows["role"] == "primary"].to_dict("records")), None)


def _verdict(row: dict) -> str:
    """In words, from the margin's two intervals: what these seeds alone say is said to be so."""
    low, high = row["margin_domains_low"], row["margin_domains_high"]
    least, most = row["margin_seeds_low"], row["margin_seeds_high"]
    if math.isnan(low):
        return "No interval, so no answer:"
    if low <= 0 <= high:
        if least > 0 or most < 0:
            return "No clear difference over domains, though the seeds agree on these:"
        if most - least <= high - low:
            return "No difference that these domains and seeds can show:"
        return "No clear difference on average for the seeds trained here, open for others:"
    said = "Yes" if low > 0 else "No, the other way round"
    if least > 0 or most < 0:
        return f"{said}:"
    return f"{said} for the seeds trained here, open for others:"


def _seed_by_seed(made: dict[str, pd.DataFrame], config: dict) -> str:
    """The primary contrast's margin at each seed, where there is more than one: a mean of zero may
    be that of seeds that disagree."""
    rows = made["seeds"][tables.in_group(made["seeds"], tables.headline(config))]
    rows = rows[(rows["kind"] == "contrast") & (rows["name"] == config["primary"])]
    if len(rows) < 2:
        return ""
    return f" Seed by seed: margin {', '.join(map(signed, rows.sort_values('seed')['margin']))}."


def _with_interval(row: dict, measure: str, cluster: str) -> str:
    ends = interval(row, measure, cluster)
    return signed(row[measure]) + (f" [{ends}]" if ends else "")


def _by_domain(table: pd.DataFrame, config: dict) -> dict:
    """Domains as rows; as columns of (margin, rate) the arms of the primary contrast, then it and
    the contrasts that a report leads with."""
    compared = config["contrasts"][config["primary"]]
    names = [("arm", arm) for arm in config["arms"] if arm in compared]
    names += [("contrast", name) for name in controls.leading(config)]
    cells = {
        (row.domain, row.kind, row.name): (row.margin, row.rate)
        for row in table.itertuples(index=False)
    }
    domains = sorted(set(table["domain"]))
    return {
        "columns": names,
        "rows": [(domain, [cells[domain, *name] for name in names]) for domain in domains],
    }


def _perplexity(row: dict) -> tuple[str, str]:
    ratio = "" if math.isnan(row["ratio"]) else f"\N{MULTIPLICATION SIGN}{row['ratio']:.2f}"
    ends = [row["seeds_low"], row["seeds_high"]]
    over = "" if math.isnan(ends[0]) else " to ".join(f"{end:.1f}" for end in ends)
    return f"{row['perplexity']:.1f}", ", ".join(filter(None, (ratio, over)))


def _range(counts: pd.Series) -> str:
    """A count that all seeds share, or its least and most."""
    known = counts.dropna()
    if known.empty:
        return ""
    least, most = int(known.min()), int(known.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _from_to(stages: pd.DataFrame, first: str, last: str) -> str:
    """The means over seeds of a loss at both ends."""
    start, end = stages[first].mean(), stages[last].mean()
    return "" if math.isnan(start) else f"{start:.2f} \N{RIGHTWARDS ARROW} {end:.2f}"
