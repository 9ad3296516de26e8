"""What evaluations leave in a run's folder `evaluations`, for the report: scores, and of what.

evaluations/<task>-<hash>/evaluation.json   the task, its arguments and settings
evaluations/<task>-<hash>/scores.parquet    `COLUMNS`, one row a sample, epoch and measure
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from etils import epath

from vcjax.errors import InputError
from vcjax.probes import answer_files
from vcjax.workdir import files

# model: `Record.model_of` when it was asked. named: what the log calls it. value: NaN for none.
# status: scored, cut, refused, missing or error. log: a hash of the log that the row is from.
COLUMNS = [
    *("arm", "seed", "model", "named", "sample", "epoch", "scorer", "key", "value", "status"),
    *("cluster", "clustered_by", "tokens", "log"),
]


class Evaluation(NamedTuple):
    """about: what `write` was given. scores: `COLUMNS`."""

    name: str
    about: dict[str, Any]
    scores: pd.DataFrame


def folder(workdir: epath.Path, about: Mapping[str, Any]) -> epath.Path:
    """Where an evaluation is; all that `about` holds is part of its name."""
    safe = re.sub(r"[^\w.]+", "_", about["task"]).strip("._") or "task"
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return workdir / "evaluations" / f"{safe[:80]}-{digest[:8]}"


def write(workdir: epath.Path, about: Mapping[str, Any], scores: pd.DataFrame) -> None:
    """Adds scores; they replace those of the same arms and seeds."""
    here = folder(workdir, about)
    path = here / "scores.parquet"
    before = _read(path) if path.exists() else scores.iloc[:0]
    new = {*zip(scores["arm"], scores["seed"], strict=True)}
    kept = [key not in new for key in zip(before["arm"], before["seed"], strict=True)]
    together = pd.concat([before[kept], scores], ignore_index=True)[COLUMNS]
    order = ["arm", "seed", "scorer", "key", "sample", "epoch"]
    files.write_json(here / "evaluation.json", dict(about))
    answer_files.write(path, together.sort_values(order, ignore_index=True), {})


def read(workdir: epath.Path) -> list[Evaluation]:
    """All that have scores, by name."""
    root = workdir / "evaluations"
    found = sorted(path.parent for path in root.glob("*/scores.parquet")) if root.exists() else []
    return [
        Evaluation(
            here.name,
            files.read_json(here / "evaluation.json", default={"task": here.name}),
            _read(here / "scores.parquet"),
        )
        for here in found
    ]


def _read(path: epath.Path) -> pd.DataFrame:
    try:
        return answer_files.read(path).to_pandas()
    except InputError:
        raise InputError(
            f"{path}: damaged; remove it and give the command of vcjax.evaluate again"
        ) from None
