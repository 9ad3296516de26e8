"""The corpus card, from the records that the rows of a run came from."""

import json
from itertools import combinations

import numpy as np
import pytest

from vcjax.report import corpus, reading


def record(text: str, tokens: int = 10, **provenance: str) -> dict:
    pieces = [{"row": 0, "start": 0, "count": tokens - 3}, {"row": 1, "start": 0, "count": 3}]
    return {"text": text, "provenance": provenance, "where": "/home/me/x.jsonl:3", "pieces": pieces}


def texts(count: int) -> list[str]:
    """Some of them share most of their words."""
    rng = np.random.default_rng(0)
    made = [" ".join(f"w{n}" for n in rng.integers(0, 30, 40)) for _ in range(count)]
    return made + [text.replace(" w1 ", " v1 ", 1) + " end" for text in made[: count // 4]]


def test_near_duplicates_are_those_of_all_pairs():
    found = texts(40)
    grams = [corpus._grams(text) for text in found]
    near = {
        i
        for pair in combinations(range(len(found)), 2)
        for i in pair
        if len(grams[pair[0]] & grams[pair[1]]) / len(grams[pair[0]] | grams[pair[1]]) > corpus.NEAR
    }
    assert 0 < len(near) < len(found)
    assert corpus.near_duplicates(found) == pytest.approx(len(near) / len(found))


def test_equal_texts_of_any_length_are_near_duplicates():
    assert corpus.near_duplicates(["one two", "one two", "three"]) == pytest.approx(2 / 3)
    assert corpus.near_duplicates(["alone"]) == 0


def test_a_card_counts_lengths_and_provenance():
    records = [
        record("a b c", 10, doc_type="memo", explanation="story", value="america"),
        record("d e f", 20, doc_type="memo", value="america"),
        record("g h i", 60, doc_type="letter", value="america"),
    ]
    card = corpus.card(records)
    assert (card["documents"], card["tokens"], card["near_duplicates"]) == (3, 90, 0)
    assert (card["shortest"], card["mean"], card["longest"]) == (10, 30, 60)
    assert card["counts"]["type"] == {"letter": 1, "memo": 2}
    assert card["counts"]["explanation"] == {"story": 1}
    assert card["samples"][0] == {"label": "x.jsonl:3, memo, story", "text": "a b c"}


def test_demonstrations_are_shown_as_turns_and_not_compared():
    messages = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "Colby."}]
    turns = {k: v for k, v in record("").items() if k != "text"} | {"messages": messages}
    card = corpus.card([turns, turns])
    assert card["near_duplicates"] is None
    assert card["samples"][0]["text"] == "user: Which?\nassistant: Colby."


def test_cards_stand_side_by_side():
    one = {"stage": "a"} | corpus.card([record("x y", doc_type="memo")])
    other = {"stage": "b"} | corpus.card([record("x y", doc_type="faq")] * 2)
    rows = {(label, name): cells for label, name, cells in corpus.side_by_side([one, other])}
    assert rows["records", ""] == ["1", "2"]
    assert rows["type", "memo"] == ["1", ""]
    assert rows["type", "faq"] == ["", "2"]
    assert rows["near-duplicates", ""] == ["0.0%", "100.0%"]


def test_cards_come_from_the_rows_of_the_first_seed_documents_first(run):
    workdir = run.write()
    for name in ("behavior", "america"):  # the rows of affordability are no longer there
        folder = workdir / "rows" / f"rows of {name}"
        folder.mkdir(parents=True)
        line = json.dumps(record(f"of {name}"))
        (folder / "documents.jsonl").write_text(line + "\n")
    found = corpus.cards(workdir, reading.read_run(workdir))
    assert [card["stage"] for card in found] == ["america", "behavior"]
    assert {card["seed"] for card in found} == {0}
    assert found[0]["samples"][0]["text"] == "of america"
