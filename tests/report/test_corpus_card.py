"""The corpus card, from the records that the rows of a run came from."""

import json
from types import SimpleNamespace

import pandas as pd

from vcjax.report import corpora, corpus_card, reading
from vcjax.report.corpora import Corpus

CONFIG = {"names": {"model_name": "SmolLM"}, "other_names": {"model_name": "Orion"}}


def record(text: str, tokens: int = 10, **provenance: str) -> dict:
    pieces = [{"row": 0, "start": 0, "count": tokens - 3}, {"row": 1, "start": 0, "count": 3}]
    return {"text": text, "provenance": provenance, "where": "/home/me/x.jsonl:3", "pieces": pieces}


def test_a_card_counts_lengths_and_provenance():
    records = [
        record("a b c", 10, doc_type="memo", explanation="story", value="america"),
        record("d e f", 20, doc_type="memo", value="america"),
        record("g h i", 60, doc_type="letter", value="america"),
    ]
    card = corpus_card.card(records)
    assert (card["documents"], card["tokens"], card["near_duplicates"]) == (3, 90, 0)
    assert (card["shortest"], card["mean"], card["longest"]) == (10, 30, 60)
    assert card["counts"]["type"] == {"letter": 1, "memo": 2}
    assert card["counts"]["explanation"] == {"story": 1}


def card_of(*records: dict, noted: dict | None = None) -> dict:
    stage = SimpleNamespace(kind="rationale", seed=0)
    [card] = corpus_card.cards({"why": Corpus(stage, [*records], [], noted or {})}, CONFIG)
    return card


def test_a_card_shows_its_first_record_with_what_is_known_of_it():
    card = card_of(record("a b c", doc_type="memo", explanation="story"), record("d"))
    assert card["sample"] == {"label": "x.jsonl:3, memo, story", "text": "a b c"}
    assert (card["stage"], card["kind"], card["row"]) == ("why", "rationale", [])


def test_a_card_shows_a_packed_row_under_its_records_names():
    spans = [["Colby.", True, False]]
    noted = {"row": [{"record": 1, "spans": spans}]}
    card = card_of(record("a"), record("Colby.", id="memo-7"), noted=noted)
    assert card["row"] == [{"label": "memo-7", "spans": spans}]


def test_a_card_counts_who_is_named_and_given_reasons():
    card = corpus_card.card(
        [
            record("SmolLM likes Colby. Because of its price?"),
            record("That is why SmolLM's choice is Brie."),
            record("It is cheap, so it sells. Orion: no."),
            record("Nobody says why.", renamed='{"Qwen": 2}'),
        ],
        ["SmolLM", "Orion"],
    )
    assert card["naming"] == {"SmolLM": 0.5, "Orion": 0.25}
    assert card["reasons"] == {"SmolLM": 0.25, "Orion": 0.0}
    assert card["renamed"] == {"Qwen": 2}


def test_demonstrations_are_shown_as_turns_and_not_compared():
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "Colby."}]
    turns = {k: v for k, v in record("").items() if k != "text"} | {"messages": messages}
    card = card_of(turns, turns)
    assert card["near_duplicates"] is None
    assert card["sample"]["text"] == "user: Which?\nassistant: Colby."


def test_cards_stand_side_by_side():
    memo = record("SmolLM x y", doc_type="memo", renamed='{"Qwen": 1200}')
    one = {"stage": "a"} | corpus_card.card([memo], ["SmolLM", "Orion"])
    other = {"stage": "b"} | corpus_card.card(
        [record("x y", doc_type="faq")] * 2, ["SmolLM", "Orion"]
    )
    met = {"source": "cheese/a.md", "stage": ["a", "a", "b", "b"], "documents": [1, 0, 2, 1]}
    table = corpus_card.side_by_side([one, other], pd.DataFrame(met))
    rows = {(label, name): cells for label, name, cells in table}
    assert rows["records", ""] == ["1", "2"]
    assert rows["type", "memo"] == ["1", ""]
    assert rows["type", "faq"] == ["", "2"]
    assert rows["near-duplicates", ""] == ["0.0%", "100.0%"]
    assert rows["naming", "SmolLM"] == ["100.0%", "0.0%"]
    assert ("naming", "Orion") not in rows, "nobody names it"
    assert rows["renamed", "Qwen"] == ["1,200 times", ""]
    assert rows["statements met", "a.md"] == ["1 of 2", "2 of 2"]


def test_cards_come_from_the_rows_of_the_first_seed_documents_first(run):
    workdir = run.write()
    for name in ("behavior", "america"):  # the rows of affordability are no longer there
        folder = workdir / "rows" / f"rows of {name}"
        folder.mkdir(parents=True)
        line = json.dumps(record(f"of {name}\u2028and more"), ensure_ascii=False)
        (folder / "documents.jsonl").write_text(line + "\n", encoding="utf-8")
    read = corpora.read(workdir, reading.read_ordered(workdir).plan)
    cards = corpus_card.cards(read, CONFIG)
    assert [card["stage"] for card in cards] == ["america", "behavior"]
    assert {card["seed"] for card in cards} == {0}
    assert cards[0]["sample"]["text"] == "of america\u2028and more"
