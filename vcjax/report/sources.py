"""What stages train on, source by source: for the plan, the report and the cards of models."""

from pathlib import Path
from typing import Any

import pandas as pd

from vcjax.data.sources import OWN
from vcjax.plan import Plan, StagePlan
from vcjax.report.formatting import aligned, counts

COUNTS = {  # column -> its title
    "records": "records",
    "tokens": "tokens",
    "weighted_tokens": "trained on",
    "left_out": "left out",
}


def table(plan: Plan) -> pd.DataFrame:
    """The `rows` of all stages, those of a name and seed once."""
    stages = {(stage.name, stage.seed): stage for stage in plan.stages.values()}
    return pd.DataFrame([row for stage in stages.values() for row in rows(stage)])


def rows(stage: StagePlan) -> list[dict[str, Any]]:
    """One row a source of a stage that has several, reads a data set or leaves records out.

    Returns:
      Dicts of stage, seed, source (its name in the stage: "file" or "spec" is the stage's own), of
      (what the config names), revision (commit of a data set of the hub) and `COUNTS`: tokens as in
      the plan, those of them that are trained on, and records left out because they cannot be used.
    """
    sources = stage.data.sources
    if len(sources) < 2 and not any(one.revision or one.left_out for one in sources.values()):
        return []
    return [
        {"stage": stage.name, "seed": stage.seed, "source": name, "of": shown(one.source)}
        | {"revision": one.revision}
        | {count: getattr(one, count) for count in COUNTS}
        for name, one in sorted(sources.items(), key=lambda item: (item[0] not in OWN, item[0]))
    ]


def over_seeds(table: pd.DataFrame) -> list[dict[str, str]]:
    """One row a stage and source, as text; what differs between seeds is a range."""
    if table.empty:
        return []
    of = ["stage", "source", "of", "revision"]
    return [
        dict(zip(of, names, strict=True))
        | {title: counts(rows[count]) for count, title in COUNTS.items()}
        for names, rows in table.groupby(of, sort=False)
    ]


def lines(plan: Plan) -> list[str]:
    """The same for a terminal."""
    read = over_seeds(table(plan))
    if not read:
        return []
    names = [f"{row['stage']}: {row['source']}" for row in read]
    columns = [[title, *(row[title] for row in read)] for title in COUNTS.values()]
    found = [f"{row['of']} {row['revision'][:8]}".strip() for row in read]
    numbers = aligned([["source", *names], *columns])
    return [f"{line}  {where}" for line, where in zip(numbers, ["of", *found], strict=True)]


def warnings(plan: Plan) -> list[str]:
    """One line a stage and source of which records are left out."""
    return sorted(
        {
            f"stage {stage.name}: {source.left_out} records of {source.source} cannot be used and "
            f"are left out, as {source.first_left_out}"
            for stage in plan.stages.values()
            for source in stage.data.sources.values()
            if source.left_out
        }
    )


def shown(source: str) -> str:
    """Of an absolute path the last name alone: the rest would tell of this machine."""
    return Path(source).name if Path(source).is_absolute() else source
