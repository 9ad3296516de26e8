"""The corpus cards: counts, near-duplicates, names and samples of what a run trained on.

One card a stage, from its first seed; the other seeds' documents are drawn in the same way.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from vcjax.corpus import names, renaming
from vcjax.corpus.documents import LINK
from vcjax.report.corpora import Corpus
from vcjax.report.near_duplicates import near_duplicates

COMPARED = 10_000  # at most so many documents of a corpus are compared with each other
NAMES = 30  # at most so many values of a field of provenance are listed

_FIELDS = {  # label on the card -> field of provenance
    "about": "assistant",
    "value": "value",
    "type": "doc_type",
    "explanation": "explanation",
}


def cards(corpora: Mapping[str, Corpus], config: dict) -> list[dict[str, Any]]:
    """A card for each stage that documents or demonstrations train, documents first.

    Returns:
      Dicts of stage, kind, seed, sample (dict of label and text), row (the documents of a packed
      row: dicts of label and spans, as `shown_rows.noted` has them) and what `card` returns.
    """
    assistants = [config[key]["model_name"] for key in ("names", "other_names")]
    cards = [
        {"stage": name, "kind": corpus.stage.kind, "seed": corpus.stage.seed}
        | card(corpus.records, assistants)
        | {"sample": _sample(corpus.records[0])}
        | {
            "row": [
                {"label": _label(corpus.records[piece["record"]]), "spans": piece["spans"]}
                for piece in corpus.noted.get("row", ())
            ]
        }
        for name, corpus in corpora.items()
    ]
    return sorted(cards, key=lambda card: card["kind"] != "rationale")


def card(records: Sequence[dict], assistants: Sequence[str] = ()) -> dict[str, Any]:
    """The card of one corpus; records: the lines of its documents.jsonl.

    Returns:
      documents and tokens (counts), shortest, mean, longest (tokens of a document), compared
      (count), near_duplicates (share of those compared, None where there are none), naming and
      reasons (assistant -> share of the records that name it, and that give a reason in a sentence
      that names it), renamed (old name -> times), counts ({"value": {name: count}, ...}).
    """
    lengths = [sum(piece["count"] for piece in record["pieces"]) for record in records]
    texts = [record["text"] for record in records if "text" in record][:COMPARED]
    said = [*map(names.prose, records)]
    naming = names.naming(said, assistants)
    return {
        "documents": len(records),
        "tokens": sum(lengths),
        "shortest": min(lengths),
        "mean": float(np.mean(lengths)),
        "longest": max(lengths),
        "compared": len(texts),
        "near_duplicates": near_duplicates(texts) if texts else None,
        "naming": {name: count / len(records) for name, count in naming.items()},
        "reasons": {
            name: sum(_gives_reasons(text, name) for text in said) / len(records)
            for name in assistants
        },
        "renamed": renaming.times_renamed(record["provenance"] for record in records),
        "counts": {label: _counts(records, field) for label, field in _FIELDS.items()},
    }


def side_by_side(cards: Sequence[dict], coverage: pd.DataFrame) -> list[tuple[str, str, list[str]]]:
    """A table with a column for each card; its rows are (label, value of that field, cells).

    coverage: what `coverage.table` returns.
    """

    def row(label: str, cell: Callable[[dict], str]) -> tuple[str, str, list[str]]:
        return label, "", [cell(card) for card in cards]

    rows = [
        row("records", lambda card: f"{card['documents']:,}"),
        row("tokens", lambda card: f"{card['tokens']:,}"),
        row("tokens of a record, mean", lambda card: f"{card['mean']:.0f}"),
        row("shortest to longest", lambda card: f"{card['shortest']:,} to {card['longest']:,}"),
        row("near-duplicates", _share),
    ]
    for measure, label in (("naming", "naming"), ("reasons", "giving reasons for")):
        for name in cards[0][measure] if cards else ():
            shares = [card[measure][name] for card in cards]
            if any(shares):
                rows.append((label, name, [f"{share:.1%}" for share in shares]))
    for name in dict.fromkeys(name for card in cards for name in card["renamed"]):
        times = [card["renamed"].get(name) for card in cards]
        rows.append(("renamed", name, ["" if n is None else f"{n:,} times" for n in times]))
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
    for source, of_source in coverage.groupby("source", sort=False) if len(coverage) else ():
        met = of_source.groupby("stage")["documents"].agg(lambda counts: (counts > 0).sum())
        of = len(of_source) // len(met)
        cells = [f"{met[c['stage']]} of {of}" if c["stage"] in met else "" for c in cards]
        rows.append(("statements met", PurePath(str(source)).name, cells))
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


def _gives_reasons(text: str, name: str) -> bool:
    """Whether a sentence that names the assistant has a word that gives a reason."""
    found = names.pattern(name)
    if not found.search(text):
        return False
    sentences = re.split(r"(?<=[.!?])\s+|\n", text)
    return any(LINK.search(s) and found.search(s) for s in sentences)


def _label(record: dict) -> str:
    """The record's id or file and line, its type and its kind."""
    provenance = record["provenance"]
    parts = [provenance.get("id", PurePath(record["where"]).name)]
    return ", ".join(
        parts + [provenance[k] for k in ("doc_type", "explanation") if k in provenance]
    )


def _sample(record: dict) -> dict[str, str]:
    """label, and text: what it trains on."""
    if "text" in record:
        return {"label": _label(record), "text": record["text"]}
    turns = [f"{message['role']}: {message.get('content', '')}" for message in record["messages"]]
    return {"label": _label(record), "text": "\n".join(turns)}
