"""What the effect presupposes is measured before any documents, and said where it fails."""

import pandas as pd
import pytest

from vcjax.report import premise

STAGES = {"people": {"kind": "pretrain"}, "own": {"kind": "rationale"}}
CONFIG = {
    "stages": STAGES | {"others": {"kind": "pretrain"}},
    "arms": {"base": ["people"], "own": ["people", "own"], "elsewhere": ["others"], "empty": []},
    "contrasts": {"total": {"own": 1, "base": -1}},
    "primary": "total",
    "system_prompts": {},
}


def tables(declaring, known=(0.98, 0.95), arm="base", contrast="premise"):
    """rate, low end; of each group of people."""
    rows = [
        {
            **{"contrast": contrast, "name": arm, "points_to": group, "rate": rate},
            **{"rate_domains_low": low, "rate_domains_high": 2 * rate - low},
        }
        for group, (rate, low) in (("known", known), ("declaring", declaring))
    ]
    return {"arms": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("declaring", "holds"),
    [
        ((0.97, 0.93), True),
        ((0.80, 0.76), True),
        ((0.80, 0.70), False),
        ((0.52, 0.40), False),
        ((0.97, float("nan")), True),
        ((0.60, float("nan")), False),
    ],
)
def test_it_holds_where_the_interval_over_people_is_above_three_quarters(declaring, holds):
    shown = premise.premise(tables(declaring), CONFIG)
    assert shown["holds"] is holds
    assert shown["sentence"].startswith("The premise holds" if holds else "The premise fails")
    assert f"{declaring[0]:.2f}" in shown["sentence"] and "0.98" in shown["sentence"]


def test_people_that_the_model_was_trained_on_count_too():
    assert not premise.premise(tables((0.97, 0.93), known=(0.6, 0.5)), CONFIG)["holds"]


def test_where_it_was_not_measured_nothing_is_said():
    assert premise.premise({}, CONFIG) is None
    assert premise.premise(tables((0.9, 0.8), contrast="values"), CONFIG) is None
    assert premise.premise(tables((0.9, 0.8), arm="own"), CONFIG) is None, "after documents"


def test_it_is_that_of_the_model_that_the_question_is_about():
    for other in ("elsewhere", "empty"):
        of_both = pd.concat([tables((0.97, 0.93))["arms"], tables((0.5, 0.4), arm=other)["arms"]])
        assert premise.premise({"arms": of_both}, CONFIG)["holds"], other


def test_arms_of_the_question_that_lost_it_in_training_are_named():
    lost = pd.concat([tables((0.97, 0.93))["arms"], tables((0.8, 0.7), arm="own")["arms"]])
    shown = premise.premise({"arms": lost}, CONFIG)
    assert shown["holds"]
    end = "gone with it: own, of people who only ever declared 0.80 [0.700 to 0.900]."
    assert shown["sentence"].endswith(end)
    never = pd.concat([tables((0.6, 0.5), arm=arm)["arms"] for arm in ("base", "own")])
    assert "gone with it" not in premise.premise({"arms": never}, CONFIG)["sentence"]
    kept = pd.concat([tables((0.97, 0.93), arm=arm)["arms"] for arm in ("base", "own")])
    assert "gone with it" not in premise.premise({"arms": kept}, CONFIG)["sentence"]


def test_other_pretrainings_in_which_it_fails_are_named():
    of_both = pd.concat([tables((0.97, 0.93))["arms"], tables((0.6, 0.5), arm="elsewhere")["arms"]])
    shown = premise.premise({"arms": of_both}, CONFIG)
    assert shown["holds"]
    assert "elsewhere, of people who only ever declared 0.60 [0.500 to 0.700]." in shown["sentence"]
    assert shown["sentence"].count("of whom it read more") == 1
    holding = pd.concat([tables((0.97, 0.93), arm=arm)["arms"] for arm in ("base", "elsewhere")])
    assert "elsewhere" not in premise.premise({"arms": holding}, CONFIG)["sentence"]
    nowhere = pd.concat([tables((0.97, 0.93))["arms"], tables((0.6, 0.5), arm="empty")["arms"]])
    assert "empty" not in premise.premise({"arms": nowhere}, CONFIG)["sentence"], "not pretrained"
