"""Samples of a log to rows; the samples stand in for Inspect's, which is not needed."""

import math
from types import SimpleNamespace

import pytest

from vcjax.evaluate import logs

MODEL = "openai-api/vcjax/america-0"


def sample(id_, scores, epoch=1, stop="stop", limit=None, error=None, **metadata):
    return SimpleNamespace(
        id=id_,
        epoch=epoch,
        scores={name: SimpleNamespace(value=value) for name, value in scores.items()},
        output=SimpleNamespace(choices=[SimpleNamespace(stop_reason=stop)] if stop else []),
        limit=limit,
        error=error,
        metadata=metadata,
        model_usage={MODEL: SimpleNamespace(output_tokens=7)},
    )


def log(*samples, scorers=("match",)):
    of = [SimpleNamespace(name=name) for name in scorers]
    return SimpleNamespace(samples=[*samples], eval=SimpleNamespace(model=MODEL, scorers=of))


def rows(*samples):
    content = log(*samples)
    return logs.rows(content, logs.measures([content]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("C", 1), ("I", 0), ("P", 0.5), ("N", 0), (True, 1), (3, 3), ("2.5", 2.5), ("Yes", 1)],
)
def test_a_score_is_a_number(value, expected):
    assert logs.number(value) == expected


@pytest.mark.parametrize("value", [None, "blackmail", math.nan, math.inf, [1]])
def test_what_is_no_number_has_no_value(value):
    assert math.isnan(logs.number(value))


def test_each_key_of_a_score_is_a_row():
    found = rows(sample("a", {"harm": {"harmful": 1.0, "verdict": 0.0}, "match": "C"}))
    assert [(row["scorer"], row["key"], row["value"]) for row in found] == [
        ("harm", "harmful", 1.0),
        ("harm", "verdict", 0.0),
        ("match", "", 1.0),
    ]
    assert {row["tokens"] for row in found} == {7}


def test_what_has_no_score_says_why():
    found = rows(
        sample("a", {"match": "C"}),
        sample("b", {"match": math.nan}),
        sample("c", {}),
        sample("d", {"match": "I"}, stop="max_tokens"),
        sample("e", {}, stop=None, error=SimpleNamespace(message="refused")),
        sample("f", {}, limit=SimpleNamespace(type="message")),
    )
    status = {row["sample"]: row["status"] for row in found}
    assert status == dict(a="scored", b="refused", c="missing", d="cut", e="error", f="cut")
    assert [row["sample"] for row in found if not math.isnan(row["value"])] == ["a", "d"]


def test_a_model_of_which_all_failed_has_the_measures_of_the_others():
    good = log(sample("a", {"harm": {"harmful": 1.0}}))
    bad = log(sample("a", {}, error=SimpleNamespace(message="quota")), scorers=["harm"])
    measures = logs.measures([good, bad])
    assert measures == [("harm", "harmful")]
    assert [row["status"] for row in logs.rows(bad, measures)] == ["error"]
    assert logs.measures([bad]) == [("harm", "")]


@pytest.mark.parametrize(
    ("samples", "by", "clusters"),
    [
        ([("a1", dict(scenario="x")), ("a2", dict(scenario="y"))], "scenario", ["x", "y"]),
        ([("cars-1", {}), ("cars-2", {}), ("tea-1", {})], "beginning of its id", ["cars", "tea"]),
        ([("1", {}), ("2", {})], "sample", ["1", "2"]),
        ([("gsm-1", {}), ("gsm-2", {})], "sample", ["gsm-1", "gsm-2"]),
    ],
)
def test_samples_are_in_clusters(samples, by, clusters):
    found = rows(*(sample(id_, {"match": "C"}, **metadata) for id_, metadata in samples))
    assert {row["clustered_by"] for row in found} == {by}
    assert sorted({row["cluster"] for row in found}) == clusters
