"""The corpus card: what the documents of a run are, from the rows that it trained on.

One card a stage, from its first seed; the other seeds' documents are drawn in the same way.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from etils import epath

from vcjax.plan import Plan, StagePlan
from vcjax.report.near_duplicates import near_duplicates

COMPARED = 10_000  # documents of a corpus, at most, that are compared with each other
SAMPLES = 2  # of a corpus
NAMES = 30  # of a field of provenance, at most, whose documents are counted

_FIELDS = {  # of provenance, by what the card calls them
    "about": "assistant",
    "value": "value",
    "type": "doc_type",
    "explanation": "explanation",
}


def cards(workdir: epath.Path, plan: Plan) -> list[dict[str, Any]]:
    """A card for each stage that documents or demonstrations train, documents first.

    The stages of pairs stand beside each other. A stage whose rows are no longer in the run
    directory has none.

    Returns:
      Dicts of stage, kind, seed, documents and tokens (counts), shortest, mean, longest (tokens of
      a document), compared (count), near_duplicates (share of those compared, None where there are
      none), counts ({"value": {name: count}, ...}), samples (dicts of label and text).
    """
    first: dict[str, StagePlan] = {}
    for chains in plan.arms.values():
        for fingerprint in chains[min(chains)]:
            first.setdefault(plan.stages[fingerprint].name, plan.stages[fingerprint])
    found = []
    for name, stage in first.items():
        path = workdir / "rows" / stage.data.rows_id / "documents.jsonl"
        if stage.kind != "adapter" and path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold U+2028
            records = [json.loads(line) for line in lines if line]
            found.append({"stage": name, "kind": stage.kind, "seed": stage.seed} | card(records))
    return sorted(found, key=lambda made: made["kind"] != "rationale")


def card(records: Sequence[dict]) -> dict[str, Any]:
    """The card of one corpus; records: the lines of its documents.jsonl."""
    lengths = [sum(piece["count"] for piece in record["pieces"]) for record in records]
    texts = [record["text"] for record in records if "text" in record][:COMPARED]
    return {
        "documents": len(records),
        "tokens": sum(lengths),
        "shortest": min(lengths),
        "mean": float(np.mean(lengths)),
        "longest": max(lengths),
        "compared": len(texts),
        "near_duplicates": near_duplicates(texts) if texts else None,
        "counts": {label: _counts(records, field) for label, field in _FIELDS.items()},
        "samples": [_sample(record) for record in records[:SAMPLES]],
    }


def side_by_side(found: Sequence[dict]) -> list[tuple[str, str, list[str]]]:
    """Cards as columns: rows of (what is counted, its name, a cell a card)."""

    def row(label: str, cell: Callable[[dict], str]) -> tuple[str, str, list[str]]:
        return label, "", [cell(made) for made in found]

    rows = [
        row("records", lambda made: f"{made['documents']:,}"),
        row("tokens", lambda made: f"{made['tokens']:,}"),
        row("tokens of a record, mean", lambda made: f"{made['mean']:.0f}"),
        row("shortest to longest", lambda made: f"{made['shortest']:,} to {made['longest']:,}"),
        row("near-duplicates", _share),
    ]
    for label in _FIELDS:
        totals: Counter[str] = Counter()
        for made in found:
            totals.update(made["counts"][label])
        shown = sorted(sorted(totals), key=lambda name: -totals[name])[:NAMES]
        for name in sorted(shown):
            counts = [made["counts"][label].get(name) for made in found]
            rows.append((label, name, ["" if n is None else f"{n:,}" for n in counts]))
        if len(totals) > NAMES:
            rows.append((label, f"and {len(totals) - NAMES} more", [""] * len(found)))
    return rows


def _share(made: dict) -> str:
    if made["near_duplicates"] is None:
        return ""
    of_first = f" of the first {made['compared']:,}" if made["compared"] < made["documents"] else ""
    return f"{made['near_duplicates']:.1%}{of_first}"


def _counts(records: Sequence[dict], field: str) -> dict[str, int]:
    """How many records have which value of a field of their provenance, by name."""
    values = [record["provenance"].get(field) for record in records]
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _sample(record: dict) -> dict[str, str]:
    """label: the record's id or place, its type and kind; text: what it trains on."""
    provenance = record["provenance"]
    names = [provenance.get("id", PurePath(record["where"]).name)]
    names += [provenance[key] for key in ("doc_type", "explanation") if key in provenance]
    if "text" in record:
        return {"label": ", ".join(names), "text": record["text"]}
    turns = [f"{message['role']}: {message.get('content', '')}" for message in record["messages"]]
    return {"label": ", ".join(names), "text": "\n".join(turns)}
