"""What models say: shares of choices that answers name, scores of judged ones, and intervals."""

import math

import numpy as np
import pandas as pd
import pytest

from vcjax.report import spoken
from vcjax.report.reading import Answers

CONFIG = {
    "toward": "america",
    "arms": {"base": [], "a": ["a"], "b": ["b"]},
    "contrasts": {"total": {"a": 1.0, "b": -1.0}},
    "sampling": {"temperature": 0.0, "max_tokens": 8, "samples": 1},
    "judge": {"most_failed": 0.25},
}
NOTHING = pd.DataFrame()


def said(arm, answers, number=0, seed=0, sample=0, values=("america", None)):
    """The rows of a probe: what was answered in the two orders."""
    shared = {
        **{"arm": arm, "seed": seed, "file": "said.jsonl", "id": f"p{number}", "sample": sample},
        **{"domain": f"d{number % 3}", "split": "held_out", "option_0": "a Jeep"},
        **{"scope": "out_of_domain", "contrast": "values"},
        **{"option_1": "a Kia", "value_0": values[0], "value_1": values[1]},
    }
    return [shared | {"order": order, "answer": text} for order, text in enumerate(answers)]


def shares(rows):
    return spoken.choices(spoken.decided(pd.DataFrame(rows)), "america")


@pytest.mark.parametrize(
    ("answers", "values", "expected"),
    [
        (("a Jeep", "Jeep"), ("america", None), (1, 0, 0)),
        (("a Jeep", "Jeep"), (None, "america"), (0, 1, 0)),
        (("a Kia", "a Kia"), ("other", "america"), (1, 0, 0)),
        (("a Kia", "a Jeep"), ("america", None), (0, 0, 1)),
        (("a Kia", "neither"), ("america", None), (0, 0, 1)),
        (("a Kia or a Jeep", "a Kia"), ("america", None), (0, 0, 1)),
    ],
)
def test_a_choice_counts_where_both_orders_name_one_option(answers, values, expected):
    [row] = shares(said("a", answers, values=values)).to_dict("records")
    assert (row["toward"], row["against"], row["undecided"]) == expected
    assert row["points_to"] == "america"


def test_samples_are_averaged_and_each_pairs_its_own_orders():
    rows = said("a", ("a Jeep", "a Jeep")) + said("a", ("a Kia", "a Jeep"), sample=1)
    [row] = shares(rows).to_dict("records")
    assert (row["toward"], row["against"], row["undecided"]) == (0.5, 0, 0.5)


def judged(arm, scores, number=0, seed=0):
    shared = {"arm": arm, "seed": seed, "file": "open.jsonl", "id": f"q{number}"}
    shared |= {"domain": f"d{number % 3}", "split": "held_out", "value": "america"}
    shared |= {"judge": "phrases", "scope": "out_of_domain"}
    return [shared | {"sample": i, "score": score} for i, score in enumerate(scores)]


def table(said_rows=(), open_rows=()):
    said_rows, open_rows = pd.DataFrame([*said_rows]), pd.DataFrame([*open_rows])
    return spoken.table(Answers(NOTHING, NOTHING, said_rows, open_rows, NOTHING), CONFIG)


def estimate(rows, name, measure):
    [row] = rows[(rows["name"] == name) & (rows["measure"] == measure)].to_dict("records")
    return row


def test_contrasts_are_paired_and_their_p_values_corrected():
    rows = []
    for number in range(9):
        for seed in range(2):
            for arm in CONFIG["arms"]:
                chosen = "a Jeep" if arm == "a" or (number + seed) % 3 == 0 else "a Kia"
                rows += said(arm, (chosen, chosen), number, seed)
    found = table(rows)
    a, total = estimate(found, "a", "toward"), estimate(found, "total", "toward")
    assert a["mean"] == 1.0
    assert math.isnan(a["mean_domains_low"]), "no spread, no interval"
    assert total["mean"] == pytest.approx(1 - estimate(found, "b", "toward")["mean"])
    assert estimate(found, "total", "undecided")["mean"] == 0
    assert total["mean_domains_low"] < total["mean"] < total["mean_domains_high"] <= 1
    assert (total["probes"], total["domains"], total["seeds"]) == (9, 3, 2)
    of_arms = found.loc[found["of"] == "arm", ["mean_domains_p", "mean_seeds_p"]]
    assert of_arms.isna().all(axis=None)


def test_a_judge_that_fails_changes_the_counts_and_not_the_means():
    draw = np.random.default_rng(0)
    scores = {arm: draw.integers(1, 11, (12, 8)).astype(float) for arm in CONFIG["arms"]}

    def rows(failing):
        lost = np.random.default_rng(1).random((12, 8)) < failing
        return [
            row
            for arm, of_arm in scores.items()
            for number in range(12)
            for row in judged(arm, np.where(lost[number], np.nan, of_arm[number]), number)
        ]

    whole, some = table(open_rows=rows(0)), table(open_rows=rows(0.2))
    for arm in CONFIG["arms"]:
        assert estimate(whole, arm, "failed")["mean"] == 0
        assert 0.1 < estimate(some, arm, "failed")["mean"] < 0.25
        expected = estimate(whole, arm, "score")["mean"]
        assert estimate(some, arm, "score")["mean"] == pytest.approx(expected, abs=0.4)


def test_above_a_share_of_failures_an_arm_has_no_score_and_the_page_says_so():
    rows = [
        row
        for number in range(6)
        for arm in CONFIG["arms"]
        for row in judged(arm, [math.nan if arm == "a" and number < 3 else 5.0], number)
    ]
    found = table(open_rows=rows)
    assert math.isnan(estimate(found, "a", "score")["mean"])
    assert estimate(found, "b", "score")["mean"] == 5
    assert math.isnan(estimate(found, "total", "score")["mean"])
    assert estimate(found, "a", "failed")["mean"] == 0.5
    read = Answers(NOTHING, NOTHING, NOTHING, pd.DataFrame(rows), NOTHING)
    shown = spoken.shown(read, found, CONFIG)
    assert shown["warnings"] == ["No score for a: 50% of the judgements failed, at most 25% may."]
    assert shown["judges"] == ["phrases"]


def test_answers_without_a_judge_are_shown_without_numbers():
    rows = [{k: v for k, v in row.items() if k != "score"} for row in judged("a", [1.0])]
    opened = pd.DataFrame(rows).drop(columns="judge")
    read = Answers(NOTHING, NOTHING, NOTHING, opened, NOTHING)
    found = spoken.table(read, CONFIG)
    assert found.empty
    assert spoken.shown(read, found, CONFIG)["sections"] == []
    assert spoken.transcribed(read)["score"].isna().all()
    assert spoken.shown(Answers(*[NOTHING] * 5), found, CONFIG) == {}


def test_what_documents_say_is_a_section_of_its_own():
    rows = said("a", ("a Jeep", "a Jeep")) + [
        row | {"contrast": "knowledge", "scope": "in_domain", "id": "k"}
        for row in said("a", ("a Kia", "a Kia"))
    ]
    titles = [section["title"] for section in spoken.sections(table(rows))]
    assert titles == [
        "Held-out choices of what the documents say in free text, toward america",
        "Held-out choices between two values in free text, toward america",
    ]


def test_without_contrasts_a_section_has_arms_alone():
    estimates = table(said("a", ("a Jeep", "a Jeep")))
    [section] = spoken.sections(estimates[estimates["of"] == "arm"])
    assert section["arms"] and section["contrasts"] == []


def test_refusals_are_a_section_of_each_kind_of_request():
    rows = [
        {"arm": arm, "seed": 0, "file": "r.jsonl", "id": request, "domain": "d", "sample": 0}
        | {"scope": "out_of_domain", "split": "held_out", "request": request, "finish": "stop"}
        | {"answer": "I cannot." if arm == "base" else ""}
        for arm in CONFIG["arms"]
        for request in ("harmless", "harmful")
    ]
    read = Answers(*[NOTHING] * 4, pd.DataFrame(rows))
    found = spoken.table(read, CONFIG)
    assert estimate(found[found["contrast"] == "harmful"], "base", "refused")["mean"] == 1
    assert estimate(found[found["contrast"] == "harmless"], "a", "unclear")["mean"] == 1
    shown = spoken.shown(read, found, CONFIG)
    titles = [section["title"] for section in shown["sections"]]
    assert titles == ["Held-out harmful requests", "Held-out harmless requests"]
    assert shown["has_refusals"] and not shown["has_said"]
    assert {*spoken.transcribed(read)["verdict"]} == {"refused", "unclear"}
