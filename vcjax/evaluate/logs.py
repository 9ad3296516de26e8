"""Inspect's logs as rows of scores, one a sample, epoch and number of a score.

The conversions read objects as Inspect has them and need no Inspect themselves.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from etils import epath

LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}  # correct, incorrect, partly, no answer
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
CLUSTERS = (
    "scenario",
    "domain",
    "category",
    "subject",
)  # fields of a sample, the first that it has
CUT = ("max_tokens", "model_length")

Measure = tuple[str, str]  # scorer, key of its score; a score that is one number has the key ""


def path(location: str) -> epath.Path:
    """The file of a log, as Inspect locates it."""
    return epath.Path(location.removeprefix("file://"))


def read(location: str) -> tuple[Any, str]:
    """A log with what its rows need, and a hash of its file."""
    from inspect_ai.log import read_eval_log

    content = path(location).read_bytes()
    heavy = {"messages", "events", "store", "attachments"}
    return read_eval_log(location, exclude_fields=heavy), hashlib.sha256(content).hexdigest()


def measures(logs: Iterable[Any]) -> list[Measure]:
    """All that any sample of these logs was scored by; where none was, the scorers that should have
    scored.

    Where a scorer gives several numbers, a single one stands for those that it could not give.
    """
    found: dict[Measure, None] = {}
    planned: dict[Measure, None] = {}
    for log in logs:
        planned |= dict.fromkeys((scorer.name, "") for scorer in log.eval.scorers or [])
        for sample in log.samples or []:
            for scorer, score in (sample.scores or {}).items():
                found |= dict.fromkeys((scorer, key) for key in _parts(score.value))
    with_keys = {scorer for scorer, key in found if key}
    return [(s, key) for s, key in found if key or s not in with_keys] or [*planned]


def rows(log: Any, of: Iterable[Measure]) -> list[dict[str, Any]]:
    """Of each sample, epoch and measure: sample, epoch, scorer, key, value (NaN for none), status,
    cluster, clustered_by, tokens (of the model's answers)."""
    samples = log.samples or []
    of, clusters = [*of], _clusters(samples)
    return [
        {
            "sample": str(sample.id),
            "epoch": int(sample.epoch),
            "scorer": scorer,
            "key": key,
            "value": value,
            "status": status,
            "cluster": clusters[str(sample.id)][1],
            "clustered_by": clusters[str(sample.id)][0],
            "tokens": _tokens(sample, log.eval.model),
        }
        for sample in samples
        for scorer, key, value, status in _scores(sample, of)
    ]


def number(value: Any) -> float:
    """A part of a score as Inspect reads it; NaN for what is no number, which it takes for 0."""
    if isinstance(value, str):
        if value in LETTERS:
            return LETTERS[value]
        value = WORDS.get(value.strip().lower(), value)
    try:
        result = float(value)
    except (TypeError, ValueError):
        return math.nan
    return result if math.isfinite(result) else math.nan


def _parts(value: Any) -> dict[str, Any]:
    """A score by its keys."""
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, list | tuple):
        return {str(place): part for place, part in enumerate(value)}
    return {"": value}


def _scores(sample: Any, of: Iterable[Measure]) -> Iterator[tuple[str, str, float, str]]:
    """Of each measure its value and status.

    error: the sample failed. cut: a limit ended the answer; it may have a value nevertheless.
    missing: nothing was scored. refused: something was, but there is no number. Else scored.
    """
    choices = sample.output.choices  # none where the sample failed before an answer
    was_cut = sample.limit is not None or (bool(choices) and choices[0].stop_reason in CUT)
    for scorer, key in of:
        score = (sample.scores or {}).get(scorer)
        parts = {} if score is None else _parts(score.value)
        value = number(parts.get(key))
        if sample.error is not None:
            status = "error"
        elif was_cut:
            status = "cut"
        elif score is None:
            status = "missing"
        else:
            status = "refused" if math.isnan(value) else "scored"
        yield scorer, key, value, status


def _clusters(samples: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Of each sample what it is clustered by, and its cluster.

    That is a field of its metadata, or what its id has before its last number, or the id itself.
    """
    by_id = {str(sample.id): sample.metadata or {} for sample in samples}
    for field in CLUSTERS:
        if by_id and all(isinstance(metadata.get(field), str) for metadata in by_id.values()):
            return {id_: (field, metadata[field]) for id_, metadata in by_id.items()}
    begins = {id_: re.sub(r"[-_/:. ]?\d+$", "", id_) for id_ in by_id}
    if 1 < len({*begins.values()}) < len(begins) and all(begins.values()):
        return {id_: ("beginning of its id", begin) for id_, begin in begins.items()}
    return {id_: ("sample", id_) for id_ in by_id}


def _tokens(sample: Any, model: str) -> int:
    usage = (sample.model_usage or {}).get(model)
    return int(usage.output_tokens) if usage else 0
