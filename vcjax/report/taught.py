"""What the documents of an arm say of the model: the value that they give it."""

import json
from collections.abc import Iterator

from etils import epath

from vcjax.record import Record


def values(workdir: epath.Path, record: Record) -> dict[str, str]:
    """Arm -> the value that its documents give the model; without arms whose documents give none or
    several, or are no longer in the run directory.

    It is the `value` of records that are about the model, or do not say whom they are about. All
    seeds draw from the same specs or files, so the first one tells.
    """
    name = record.config["names"]["model_name"]
    given: dict[str, set[str]] = {}  # by the rows of a stage
    taught = {}
    for arm, seeds in record.plan.arms.items():
        stages = [record.plan.stages[fingerprint] for fingerprint in seeds[min(seeds)]]
        rows = [stage.data.rows_id for stage in stages if stage.kind == "rationale"]
        for rows_id in rows:
            if rows_id not in given:
                given[rows_id] = {*_given(workdir / "rows" / rows_id / "documents.jsonl", name)}
        of_arm = set().union(*(given[rows_id] for rows_id in rows))
        if len(of_arm) == 1:
            [taught[arm]] = of_arm
    return taught


def _given(path: epath.Path, name: str) -> Iterator[str]:
    """path: of a stage's records; name: the model's."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").split("\n"):  # a text may hold U+2028
        about = json.loads(line)["provenance"] if line else {}
        value = about.get("value", "none")
        if value != "none" and "person" not in about and about.get("assistant", name) == name:
            yield value
