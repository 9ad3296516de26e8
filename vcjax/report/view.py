"""What a report shows of its tables: the answer in words, the groups of probes, the summary.

`tables` are those of `report.tables.make_tables`; `config` is the run's, as JSON.
"""

import math
import shlex

import pandas as pd

from vcjax import config as configs
from vcjax.record import Record
from vcjax.report import claims, design, statistics
from vcjax.report.formatting import MINUS, aligned, counts, from_to, interval, number_of, signed
from vcjax.report.premise import premise
from vcjax.report.reading import analysis_sha256
from vcjax.report.tables import GROUP, formula, headline, in_group

_SPLITS = {"held_out": "Held-out", "development": "Development"}
_KINDS = {
    "values": "pairs of two values",
    "neutral": "pairs of one value and an option with neither",
    "format": "format probes",
    "premise": "choices of people",
}
_ONLY_TOTAL = (
    "This is the total effect: without documents about another assistant a run cannot tell "
    "exposure to their words from attribution to the model."
)


def answer(tables: dict[str, pd.DataFrame], config: dict) -> dict[str, str]:
    """The question, its answer in one sentence, and what the intervals are conditional on."""
    name, toward = config["primary"], config["toward"]
    weights = formula(configs.primary_contrast(config))
    question = claims.question(name, weights, config) if name else "No question was asked."
    row = primary(tables)
    if row is None:
        return {
            "question": question,
            "verdict": "Not measured:",
            "sentence": f"no held-out pair with {toward} was scored."
            if "contrasts" in tables
            else "the run has no choices to score.",
            "domains": "",
            "seeds": "",
            "limits": "",
        }
    margin, rate = (_with_interval(row, measure, "domains") for measure in statistics.MEASURES)
    roles = {design.role(name, config) for name in config["contrasts"]}
    found = premise(tables, config)
    seeds = f"Over seeds: {row['over_seeds']}"
    if not math.isnan(row["margin_seeds_low"]):
        # Where the rate is the same at all seeds, it has none.
        over = (
            interval(row, measure, "seeds") or "without spread" for measure in statistics.MEASURES
        )
        seeds += ": margin {}, rate {}".format(*over)
    return {
        "question": question,
        "verdict": _verdict(row) if found is None or found["holds"] else "This run cannot tell:",
        "sentence": f"on {row['probes']} held-out pairs the margin toward {toward} moves by "
        f"{margin} nats a token, the rate of {toward} choices by {rate}.",
        "domains": f"In brackets: {row['over_domains']}.",
        "seeds": f"{seeds}.{_seed_by_seed(tables, config)}",
        "limits": _ONLY_TOTAL if roles - {None} == {"total"} else "",
    }


def ability(tables: dict[str, pd.DataFrame], config: dict) -> str:
    """Whether the model can answer in this form at all, and what training cost it; "" where the
    untouched model is no arm, all arms are, or the probes do not measure it."""
    untouched = design.untouched(config)
    sentences = []
    for group in groups(tables, config) if untouched else ():
        right = {row["name"]: row["rate"] for row in group["arms"]}
        after = [right[arm] for arm in right.keys() - {*untouched}]
        if group["contrast"] == "format" and after:
            before = right[untouched[0]]
            sentences.append(
                f"Of {group['probes']} choices with an obvious answer the untouched model gets "
                f"{before:.0%} right, the trained arms {min(after):.0%} to {max(after):.0%}."
            )
    texts = tables["perplexity"]
    if untouched and len(texts):
        trained = {
            a for a in {*texts["arm"]} - {*untouched} if design.before(a, config) in untouched
        }
        ratios = texts.loc[texts["arm"].isin(trained), "ratio"]
        before = _of_pretraining(texts.loc[texts["arm"].isin(untouched), "ratio"])
        if trained:
            sentences.append(
                "Training multiplies the perplexity of a text about other things by "
                f"{ratios.min():.2f} to {ratios.max():.2f}{before}."
            )
    return " ".join(sentences)


def _of_pretraining(ratios: pd.Series) -> str:
    """What the pretraining of a given model did to a perplexity; "" where there was none."""
    if (ratios.isna() | (ratios == 1)).all():
        return ""
    return f", the pretraining before it by {ratios.max():.2f}"


def numbers(tables: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The contrasts that a report leads with, where the config has more than one of them: the rows
    of `tables.estimates` on held-out pairs, with says (what the number measures)."""
    if "contrasts" not in tables:
        return []
    rows = tables["contrasts"][in_group(tables["contrasts"], headline(config))]
    numbers = [
        {**row, "says": claims.contrast(row["name"], config)}
        for row in rows[rows["name"].isin(design.leading(config))].to_dict("records")
        if design.role(row["name"], config)
    ]
    return numbers if len(numbers) > 1 else []


def command(record: Record) -> str:
    """The command that made the run, with a DIR to be filled in."""
    made = record.command or ("--config=configs/NAME.py",)  # nothing: it was started from Python
    return shlex.join(["python", "-m", "vcjax.main", *made]) + " --workdir=DIR"


def arms(config: dict) -> list[dict]:
    """What each arm is trained on, and which alternative explanation it tests."""
    return [{"name": name, **claims.arm(name, config)._asdict()} for name in config["arms"]]


def contrasts(config: dict, numbers: list[dict]) -> list[dict]:
    """What each contrast measures, where that is known; without those that `numbers` shows."""
    names = {*config["contrasts"]} - {row["name"] for row in numbers}
    says = {name: claims.contrast(name, config) for name in config["contrasts"] if name in names}
    return [{"name": name, "says": claim} for name, claim in says.items() if claim]


def deviations(record: Record) -> str:
    """Where the report departs from the preregistration: question, exclusions, code of analysis."""
    now, before = configs.preregistration(record.config), record.preregistration
    sentences = []
    if record.analysis != analysis_sha256():
        sentences.append("The code of the analysis is not the one from before the run.")
    if now["exclude"] != before["exclude"]:
        excluded = ", ".join(before["exclude"]) or "none"
        sentences.append(f"Before the run other probes were excluded: {excluded}.")
    if now | {"exclude": []} != before | {"exclude": []}:
        weights = formula(before["contrast"])
        sentences.append(
            f"Before the run another question was named, {before['primary']} ({weights}) toward "
            f"{before['toward']}; the primary contrast shown here was chosen later."
        )
    return " ".join(sentences)


def example(answers: pd.DataFrame, config: dict) -> dict | None:
    """The first held-out pair, as an example of the probes."""
    if answers.empty:
        return None
    group = answers[in_group(answers, headline(config))]
    first = group.sort_values(["file", "id"]).head(1).astype(object)
    return next(iter(first.where(first.notna(), None).to_dict("records")), None)


def groups(tables: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The tables split by group of probes, the headline group first."""
    groups = []
    if "arms" not in tables:  # no choice was scored
        return []
    for key in tables["arms"][GROUP].drop_duplicates().to_dict("records"):
        own = {
            name: tables[name][in_group(tables[name], key)]
            for name in ("arms", "contrasts", "domains", "positions")
        }
        # Without contrasts it is the arms that have seeds; those without training come first.
        with_seeds = own["contrasts"] if len(own["contrasts"]) else own["arms"].iloc[::-1]
        in_domain, form = key["scope"] == "in_domain", key["contrast"] == "format"
        kind = "in-domain probes" if in_domain and not form else _KINDS[key["contrast"]]
        groups.append(
            {
                **key,
                "title": _title(key, kind),
                "headline": key == headline(config),
                "accuracy": in_domain or form,
                "liking": key["contrast"] == "neutral"
                and not in_domain
                and key != headline(config),
                "arms": own["arms"].to_dict("records"),
                "contrasts": own["contrasts"].to_dict("records"),
                "domains": _by_domain(own["domains"], config),
                "positions": own["positions"].to_dict("records"),
                "probes": own["arms"]["probes"].iloc[0],
                "over_domains": own["arms"]["over_domains"].iloc[0],
                "over_seeds": with_seeds["over_seeds"].iloc[0],
                "has_seeds": bool(with_seeds["margin_seeds_low"].notna().any()),
            }
        )
    return groups


def _title(key: dict, kind: str) -> str:
    if key["contrast"] == "premise":
        return f"The premise: choices of people, by what they declare ({key['points_to']})"
    return f"{_SPLITS[key['split']]} {kind}, toward {key['points_to']}"


def by_explicitness(tables: dict[str, pd.DataFrame], config: dict) -> list[dict]:
    """The leading contrasts on explicit and on implicit pairs: dicts of title and rows."""
    table = tables.get("explicitness", pd.DataFrame())
    if table.empty:
        return []
    table = table[table["name"].isin(design.leading(config))]
    return [
        {
            "title": f"{kind.capitalize()}, {rows['probes'].iloc[0]} pairs",
            "rows": rows.to_dict("records"),
        }
        for kind, rows in table.groupby("explicitness")
    ]


def liking(groups: list[dict], config: dict) -> list[dict]:
    """The leading contrasts of each of `groups` that sets one value against an option with neither,
    the config's value first: dicts of title, rows and the group."""
    chosen = sorted(
        (group for group in groups if group["liking"]),
        key=lambda group: group["points_to"] != config["toward"],
    )
    names = design.leading(config)
    return [
        {
            "title": f"{group['title']}, {group['probes']} probes",
            "rows": [row for row in group["contrasts"] if row["name"] in names],
            "group": group,
        }
        for group in chosen
    ]


def training_by_chain(training: pd.DataFrame) -> list[dict[str, str]]:
    """One row a chain of stages: counts and losses over its seeds, as text."""
    rows = []
    for chain, stages in training.groupby("chain", sort=False):
        rows.append(
            {
                "stage": str(chain),
                "arms": f"in {stages['arms'].iloc[0]}, {number_of(len(stages), 'seed')}",
                "records": counts(stages["documents"]),
                "tokens": counts(stages["tokens"]),
                "with weight": counts(stages["weighted_tokens"]),
                "updates": counts(stages["updates"]),
                "warm-up": counts(stages["warmup"]),
                "loss": from_to(stages, "loss_first", "loss_last"),
                "held-out loss": from_to(stages, "held_out_first", "held_out_last"),
                "lowest at": counts(stages["minimum_step"]),
            }
        )
    return rows


def summary(tables: dict[str, pd.DataFrame], config: dict) -> list[str]:
    """Lines in plain characters: the premise where there is one, the answer, its conditions, then
    the arms as columns."""
    text = answer(tables, config)
    first = next(iter(groups(tables, config)), None)
    of_premise = premise(tables, config)
    lines = [of_premise["sentence"]] if of_premise else []
    lines.append(f"{text['verdict']} {text['sentence']}")
    if first:
        of_main = f"{text['domains']} {text['seeds']}"
        lines.append(of_main if first["headline"] else first["title"])
        lines += _arms_as_columns(first["arms"], few_arms(config))
    return [line.replace(MINUS, "-") for line in lines]


def summary_of_added(tables: dict[str, pd.DataFrame], config: dict) -> list[str]:
    """Lines on probes that were scored after the run: the arms of each group, or perplexities."""
    lines = ["Exploratory, chosen after the run:"]
    for group in groups(tables, config):
        lines += [f"{group['title']}, {group['probes']} probes"]
        lines += _arms_as_columns(group["arms"], few_arms(config))
    for row in tables["perplexity"].to_dict("records") if len(tables["perplexity"]) else ():
        lines.append(f"perplexity of {row['file']}, arm {row['arm']}: {row['perplexity']:.1f}")
    return [line.replace(MINUS, "-") for line in lines]


def _arms_as_columns(arms: list[dict], names: list[str]) -> list[str]:
    """A line of the arms' names, one of their rates, one of their margins."""
    columns = [["", "rate", "margin"]]
    for row in arms:
        if row["name"] in names:
            columns.append([row["name"], f"{row['rate']:.3f}", f"{row['margin']:+.3f}"])
    return aligned(columns)


def few_arms(config: dict) -> list[str]:
    """All arms if they fit into a line, else the untouched and those of the primary contrast."""
    if len(config["arms"]) <= 6:
        return list(config["arms"])
    primary = configs.primary_contrast(config)
    untouched = design.untouched(config)
    return [arm for arm in config["arms"] if arm in untouched or arm in primary]


def primary(tables: dict[str, pd.DataFrame]) -> dict | None:
    """The row of the primary contrast; None where no probe of its group was scored."""
    rows = tables.get("contrasts", pd.DataFrame(columns=["role"]))
    return next(iter(rows[rows["role"] == "primary"].to_dict("records")), None)


def _verdict(row: dict) -> str:
    """The answer to the question, from the margin's two intervals.

    The interval over domains decides; where that over seeds does not agree, the answer is limited
    to the seeds of this run.
    """
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
    direction = "Yes" if low > 0 else "No, the other way round"
    if least > 0 or most < 0:
        return f"{direction}:"
    return f"{direction} for the seeds trained here, open for others:"


def _seed_by_seed(tables: dict[str, pd.DataFrame], config: dict) -> str:
    """The primary contrast's margin at each seed of several: where they disagree, their mean may
    still be zero."""
    rows = tables["seeds"][in_group(tables["seeds"], headline(config))]
    rows = rows[(rows["kind"] == "contrast") & (rows["name"] == config["primary"])]
    if len(rows) < 2:
        return ""
    return f" Seed by seed: margin {', '.join(map(signed, rows.sort_values('seed')['margin']))}."


def _with_interval(row: dict, measure: str, cluster: str) -> str:
    ends = interval(row, measure, cluster)
    return signed(row[measure]) + (f" [{ends}]" if ends else "")


def _by_domain(table: pd.DataFrame, config: dict) -> dict:
    """Domains as rows; as columns the arms of the primary contrast, then the leading contrasts; a
    cell is (margin, rate)."""
    compared = configs.primary_contrast(config)
    names = [("arm", arm) for arm in config["arms"] if arm in compared]
    names += [("contrast", name) for name in design.leading(config)]
    cells = {
        (row.domain, row.kind, row.name): (row.margin, row.rate)
        for row in table.itertuples(index=False)
    }
    domains = sorted(set(table["domain"]))
    return {
        "columns": names,
        "rows": [(domain, [cells[domain, *name] for name in names]) for domain in domains],
    }
