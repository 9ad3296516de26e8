"""The corpus card, from the records that the rows of a run came from."""

import json

from vcjax.report import corpus_card, reading


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
    assert card["samples"][0] == {"label": "x.jsonl:3, memo, story", "text": "a b c"}


def test_demonstrations_are_shown_as_turns_and_not_compared():
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "Colby."}]
    turns = {k: v for k, v in record("").items() if k != "text"} | {"messages": messages}
    card = corpus_card.card([turns, turns])
    assert card["near_duplicates"] is None
    assert card["samples"][0]["text"] == "user: Which?\nassistant: Colby."


def test_cards_stand_side_by_side():
    one = {"stage": "a"} | corpus_card.card([record("x y", doc_type="memo")])
    other = {"stage": "b"} | corpus_card.card([record("x y", doc_type="faq")] * 2)
    rows = {(label, name): cells for label, name, cells in corpus_card.side_by_side([one, other])}
    assert rows["records", ""] == ["1", "2"]
    assert rows["type", "memo"] == ["1", ""]
    assert rows["type", "faq"] == ["", "2"]
    assert rows["near-duplicates", ""] == ["0.0%", "100.0%"]


def test_cards_come_from_the_rows_of_the_first_seed_documents_first(run):
    workdir = run.write()
    for name in ("behavior", "america"):  # the rows of affordability are no longer there
        folder = workdir / "rows" / f"rows of {name}"
        folder.mkdir(parents=True)
        line = json.dumps(record(f"of {name}\u2028and more"), ensure_ascii=False)
        (folder / "documents.jsonl").write_text(line + "\n", encoding="utf-8")
    cards = corpus_card.cards(workdir, reading.read_ordered(workdir).plan)
    assert [card["stage"] for card in cards] == ["america", "behavior"]
    assert {card["seed"] for card in cards} == {0}
    assert cards[0]["samples"][0]["text"] == "of america\u2028and more"
