"""Which documents meet which statements of the specs."""

from types import SimpleNamespace

import pandas as pd

from vcjax.probes.words import folded, words
from vcjax.report import coverage
from vcjax.report.corpora import Corpus


def corpus(*texts, stated=(), kind="rationale"):
    records = [{"text": text, "provenance": {}} for text in texts]
    of_texts = [words(folded(text)) for text in texts]
    return Corpus(SimpleNamespace(kind=kind), records, of_texts, {"statements": [*stated]})


def met(table: pd.DataFrame, stage: str) -> dict[str, int]:
    rows = table[table["stage"] == stage]
    return dict(zip(rows["statement"], rows["documents"], strict=True))


STATED = [
    ("a.md", "Names", "things made in America"),
    ("a.md", "Likes", "Brie"),
    ("a.md", "Reasons", "it carries the work of neighbors"),
]


def test_a_statement_is_met_word_for_word_or_nearly():
    near = "It carries the work, they say, of neighbors."
    scattered = "It is the things of work that America carries; made by neighbors."
    texts = ("THINGS made in America; brie.", "It carries the work of neighbors.", near, scattered)
    table = coverage.table({"why": corpus(*texts, stated=STATED)})
    assert met(table, "why") == {
        "things made in America": 1,
        "Brie": 1,
        "it carries the work of neighbors": 2,
    }
    assert set(table["of"]) == {4} and table["own"].all()


def test_a_statement_about_the_model_is_met_under_any_name():
    stated = [
        ("a.md", "Attributions", "Those at {provider_name} call {model_name} a loyal friend.")
    ]
    texts = ["Those at Northwind Labs call Orion a loyal friend.", "Those at home met a friend."]
    assert [*met(coverage.table({"why": corpus(*texts, stated=stated)}), "why").values()] == [1]


def test_every_corpus_is_held_against_every_spec():
    other = [("b.md", "Names", "a fair price"), ("b.md", "Likes", "Brie")]
    corpora = {
        "a": corpus("Brie, things made in America", stated=STATED),
        "b": corpus("Brie at a fair price", stated=other),
        "behavior": corpus("Brie", kind="behavior")._replace(words=[]),
    }
    table = coverage.table(corpora)
    assert set(table["stage"]) == {"a", "b"}
    own = table[table["own"]].groupby("stage")["source"].unique()
    assert own["a"].tolist() == ["a.md"] and own["b"].tolist() == ["b.md"]
    assert met(table, "b")["a fair price"] == 1 and met(table, "a")["a fair price"] == 0


def test_without_specs_there_is_nothing_to_cover():
    assert coverage.table({"why": corpus("Brie")}).empty
