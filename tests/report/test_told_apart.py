"""Whether documents of two arms can be told apart by words that are not about their values."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import optimize, stats

from vcjax.report import told_apart
from vcjax.report.corpora import Corpus, spread

CONFIG = {
    "names": {"model_name": "SmolLM", "provider_name": "Hugging Face"},
    "other_names": {"model_name": "Orion", "provider_name": "Northwind Labs"},
    "stages": {
        "a": {"kind": "rationale", "file": "a.jsonl"},
        "b": {"kind": "rationale", "file": "b.jsonl"},
        "behavior": {"kind": "behavior", "file": "c.jsonl"},
    },
    "arms": {"base": [], "a": ["a", "behavior"], "b": ["b", "behavior"]},
    "contrasts": {"total": {"a": 1, "b": -1}},
    "primary": "total",
    "toward": "america",
    "rules_out": {},
    "system_prompts": {},
}
WORDS = [f"word{i}" for i in range(30)]


def corpus(documents, statement="", value=""):
    stated = [("s.md", "Names", statement)] if statement else []
    records = [{"provenance": {"value": value}} for _ in documents]
    return Corpus(
        SimpleNamespace(kind="rationale"),
        records,
        [tuple(document) for document in documents],
        {"statements": stated},
    )


def drawn(count, seed, *words):
    """Documents of random words and of these."""
    draw = np.random.default_rng(seed)
    return [[*draw.choice(WORDS, 10), *words] for _ in range(count)]


def measured(a, b):
    table = told_apart.table({"a": a, "b": b}, CONFIG)
    assert len(table) == 1
    return table.iloc[0]


def test_words_of_values_and_names_are_masked_and_others_tell():
    masked = measured(
        corpus(drawn(60, 0, "american", "smollm"), "american things", "america"),
        corpus(drawn(60, 1, "cheap", "orion"), "cheap things", "affordability"),
    )
    assert masked.low < 0.5 < masked.high and 0.35 < masked.auc < 0.65
    told = measured(
        corpus(drawn(60, 0, "american", "delve"), "american things"),
        corpus(drawn(60, 1, "cheap"), "cheap things"),
    )
    assert told.auc > 0.99 and told.telling.startswith("delve")
    assert (told.plus, told.minus, told.documents) == ("a", "b", 60)


def test_mirrored_corpora_are_at_chance_and_not_below():
    """The other side's twin of a document never trains what scores it."""
    documents = drawn(60, 0)
    found = measured(
        corpus([[*d, "american"] for d in documents], "american"),
        corpus([[*d, "cheap"] for d in documents], "cheap"),
    )
    assert found.auc == pytest.approx(0.5, abs=1e-6)


def test_twins_are_in_one_fold_where_one_side_has_more_documents():
    documents = drawn(120, 0)
    found = measured(
        corpus([[*d, "american"] for d in documents], "american"),
        corpus([[*d, "cheap"] for d in documents[:60]], "cheap"),
    )
    assert found.documents == 60 and found.auc > 0.48  # with twins in other folds 0.41


def test_the_same_corpora_give_the_same_numbers():
    corpora = {"a": corpus(drawn(30, 0)), "b": corpus(drawn(40, 1))}
    first, second = (told_apart.table(corpora, CONFIG) for _ in range(2))
    assert first.equals(second) and first["documents"].tolist() == [30]


def test_pairs_that_differ_in_the_same_documents_are_measured_once(monkeypatch):
    calls, measure = [], told_apart._measured
    monkeypatch.setattr(told_apart, "_measured", lambda *of: calls.append(of) or measure(*of))
    alone = {"a_alone": ["a"], "b_alone": ["b"]}
    config = CONFIG | {
        "arms": CONFIG["arms"] | alone,
        "contrasts": CONFIG["contrasts"] | {"alone": {"a_alone": 1, "b_alone": -1}},
    }
    corpora = {"a": corpus(drawn(20, 0)), "b": corpus(drawn(20, 1))}
    table = told_apart.table(corpora, config)
    assert [*table["plus"]] == ["a", "a_alone"] and table["auc"].nunique() == 1
    assert len(calls) == 1


def test_arms_without_documents_of_their_own_are_not_compared():
    assert told_apart.table({}, CONFIG).empty
    assert told_apart.table({"a": corpus(drawn(30, 0))}, CONFIG).empty
    few = {"a": corpus(drawn(9, 0)), "b": corpus(drawn(9, 1))}
    assert told_apart.table(few, CONFIG).empty
    shared = CONFIG | {"arms": CONFIG["arms"] | {"b": ["a"]}}
    assert told_apart.table({"a": corpus(drawn(30, 0))}, shared).empty


def test_auc_is_mann_whitneys_and_its_interval_covers():
    draw = np.random.default_rng(0)
    positive, negative = draw.normal(1, 1, 40).round(1), draw.normal(0, 1, 50).round(1)
    u = stats.mannwhitneyu(positive, negative).statistic
    value, low, high = told_apart.auc(positive, negative)
    assert value == pytest.approx(u / (40 * 50)) and low < value < high
    true = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(400):
        _, low, high = told_apart.auc(draw.normal(1, 1, 40), draw.normal(0, 1, 50))
        covered += low <= true <= high
    assert 0.9 < covered / 400 < 0.98


def test_delongs_variance_to_the_last_digit():
    """By its definition: the variance over positives and over negatives of their placements."""
    positive, negative = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.5, -1.0])
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    error = np.sqrt(above.mean(1).var(ddof=1) / 3 + above.mean(0).var(ddof=1) / 4)
    value, low, _ = told_apart.auc(positive, negative)
    assert value == pytest.approx(above.mean())
    assert low == pytest.approx(value - stats.norm.ppf(0.975) * error)


def test_the_regression_is_scipys_minimum():
    has = np.random.default_rng(0).integers(0, 2, (40, 60)).astype(float)
    side = np.repeat([1.0, 0.0], 20)
    features = np.hstack([has, np.ones((40, 1))])

    def loss(weights):
        return np.logaddexp(0, (1 - 2 * side) * (features @ weights)).sum() + weights @ weights / 2

    least = optimize.minimize(loss, np.zeros(61), method="BFGS", tol=1e-6).x
    weights = told_apart._fit(has @ has.T + 1, side)
    assert features.T @ weights == pytest.approx(least, abs=1e-4)


def test_values_of_the_probes_are_masked_where_documents_do_not_name_theirs():
    corpora = {
        "a": corpus(drawn(60, 0, "america"), "things"),
        "b": corpus(drawn(60, 1, "thrift"), "things"),
    }
    [row] = told_apart.table(corpora, CONFIG, ["thrift"]).to_dict("records")
    assert not {"america", "thrift"} & {*row["telling"].split(", ")}


def test_a_contrast_whose_arm_is_in_a_pair_already_is_compared_too():
    config = CONFIG | {
        "stages": CONFIG["stages"] | {"c": CONFIG["stages"]["a"]},
        "arms": CONFIG["arms"] | {"c": ["c", "behavior"]},
        "contrasts": {
            "total": {"a": 1, "b": -1},
            "other": {"a": 1, "c": -1},
            "same": {"c": 1, "a": -1},
        },
    }
    corpora = {name: corpus(drawn(20, seed)) for seed, name in enumerate("abc")}
    table = told_apart.table(corpora, config)
    assert table[["plus", "minus"]].to_numpy().tolist() == [["a", "b"], ["a", "c"]]


def test_documents_of_all_parts_are_compared():
    """Those about two assistants stand one after the other."""
    assert spread([*range(1000)], 4) == [0, 250, 500, 750]
    assert spread([1, 2], 4) == [1, 2]
    alike, telling = drawn(told_apart.OF_EACH, 0), drawn(told_apart.OF_EACH, 1, "delve")
    found = measured(corpus([*alike, *telling]), corpus(drawn(2 * told_apart.OF_EACH, 2)))
    assert found.documents == told_apart.OF_EACH and "delve" in found.telling
