"""The corpus cards: counts, near-duplicates and samples of the documents that a run trained on.

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

COMPARED = 10_000  # at most so many documents of a corpus are compared with each other
SAMPLES = 2  # records of a corpus that the card shows
NAMES = 30  # at most so many values of a field of provenance are listed

_FIELDS = {  # label on the card -> field of provenance
    "about": "assistant",
    "value": "value",
    "type": "doc_type",
    "explanation": "explanation",
}


def cards(workdir: epath.Path, plan: Plan) -> list[dict[str, Any]]:
    """A card for each stage that documents or demonstrations train, documents first.

    A stage whose rows are no longer in the run directory has none.

    Returns:
      Dicts of stage, kind, seed, documents and tokens (counts), shortest, mean, longest (tokens of
      a document), compared (count), near_duplicates (share of those compared, None where there are
      none), counts ({"value": {name: count}, ...}), samples (dicts of label and text).
    """
    first: dict[str, StagePlan] = {}
    for chains in plan.arms.values():
        for fingerprint in chains[min(chains)]:
            first.setdefault(plan.stages[fingerprint].name, plan.stages[fingerprint])
    cards = []
    for name, stage in first.items():
        path = workdir / "rows" / stage.data.rows_id / "documents.jsonl"
        if stage.kind != "adapter" and path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold U+2028
            records = [json.loads(line) for line in lines if line]
            cards.append({"stage": name, "kind": stage.kind, "seed": stage.seed} | card(records))
    return sorted(cards, key=lambda card: card["kind"] != "rationale")


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


def side_by_side(cards: Sequence[dict]) -> list[tuple[str, str, list[str]]]:
    """A table with a column for each card; its rows are (label, value of that field, cells)."""

    def row(label: str, cell: Callable[[dict], str]) -> tuple[str, str, list[str]]:
        return label, "", [cell(card) for card in cards]

    rows = [
        row("records", lambda card: f"{card['documents']:,}"),
        row("tokens", lambda card: f"{card['tokens']:,}"),
        row("tokens of a record, mean", lambda card: f"{card['mean']:.0f}"),
        row("shortest to longest", lambda card: f"{card['shortest']:,} to {card['longest']:,}"),
        row("near-duplicates", _share),
    ]
    for label in _FIELDS:
        totals: Counter[str] = Counter()
        for card in cards:
            totals.update(card["counts"][label])
        shown = sorted(sorted(totals), key=lambda name: -totals[name])[:NAMES]
        for name in sorted(shown):
            counts = [card["counts"][label].get(name) for card in cards]
            rows.append((label, name, ["" if n is None else f"{n:,}" for n in counts]))
        if len(totals) > NAMES:
            rows.append((label, f"and {len(totals) - NAMES} more", [""] * len(cards)))
    return rows


def _share(card: dict) -> str:
    """The share of near-duplicates, and of how many documents where not all were compared."""
    if card["near_duplicates"] is None:
        return ""
    of_first = f" of the first {card['compared']:,}" if card["compared"] < card["documents"] else ""
    return f"{card['near_duplicates']:.1%}{of_first}"


def _counts(records: Sequence[dict], field: str) -> dict[str, int]:
    """Value of a field of provenance -> how many records have it."""
    values = [record["provenance"].get(field) for record in records]
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _sample(record: dict) -> dict[str, str]:
    """label: the record's id or file and line, its type and its kind; text: what it trains on."""
    provenance = record["provenance"]
    names = [provenance.get("id", PurePath(record["where"]).name)]
    names += [provenance[key] for key in ("doc_type", "explanation") if key in provenance]
    if "text" in record:
        return {"label": ", ".join(names), "text": record["text"]}
    turns = [f"{message['role']}: {message.get('content', '')}" for message in record["messages"]]
    return {"label": ", ".join(names), "text": "\n".join(turns)}
