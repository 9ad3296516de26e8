"""Roles of contrasts, pairs of arms, and the order in which one reads them."""

import pytest
from designs import ARMS, ATTRIBUTION, BALANCED, EXPOSURE, TOTAL, config

from vcjax.report import design


def role(weights, **settings) -> str | None:
    """Of a contrast with these weights, whatever its name."""
    return design.role("x", config(arms=ARMS, contrasts={"x": weights}) | settings)


@pytest.mark.parametrize(
    ("expected", "weights"),
    [
        ("total", TOTAL),
        ("exposure", EXPOSURE),
        ("attribution", ATTRIBUTION),
        ("balanced", BALANCED),
    ],
)
def test_a_contrast_has_its_role_by_what_it_is(expected, weights):
    assert role(weights) == expected


@pytest.mark.parametrize(
    "weights",
    [
        {"own": 1, "behavior": -1},  # of two values, neither is the documents' own effect
        {"own": 0.5, "cheap": -0.5},
        {"own": 1, "cheap": -0.5, "base": -0.5},
        {"own": 1, "other": -1},
        {"own": 1, "other_cheap": -1},
        {"both": 1, "cheap": -1},
        {"own": 1, "cheap": 1, "other": -1, "other_cheap": -1},
        {"together": 1, "together_cheap": -1},
        {"own": 1, "longer_cheap": -1},
        {"read": 1, "cheap": -1},
        {"adapter": 1, "cheap": -1},
        {"alone": 1, "alone_cheap": -1},
        {"last": 1, "last_cheap": -1},
        {"contradicted": 1, "contradicted_cheap": -1},
        {},
    ],
    ids=str,
)
def test_a_name_alone_gives_no_role(weights):
    for name in design.ROLES:
        assert design.role(name, config(arms=ARMS, contrasts={name: weights})) is None


def test_with_one_value_the_arm_without_documents_is_the_second():
    arms = {arm: ARMS[arm] for arm in ("own", "other", "behavior", "base")}
    assert role({"own": 1, "behavior": -1}, arms=arms) == "total"
    assert role({"other": 1, "behavior": -1}, arms=arms) == "exposure"
    assert role({"own": 1, "other": -1}, arms=arms) == "attribution"
    assert role({"own": 1, "base": -1}, arms=arms) is None


def test_an_arm_that_the_config_has_as_a_control_is_not_under_test():
    assert role(TOTAL, rules_out={"cheap": "any documents do it"}) is None
    assert role(EXPOSURE, rules_out={"other": "the words do it"}) == "exposure"


def test_contrasts_of_a_grid_are_like_the_primary_one_where_all_but_the_specs_is_alike():
    arms = ARMS | {name: ["people", *ARMS[name[2:]]] for name in ("p_own", "p_cheap")}
    stages = config()["stages"] | {"people": {"kind": "pretrain"}}
    contrasts = {"total": TOTAL, "exposure": EXPOSURE, "later": {"p_own": 1, "p_cheap": -1}}
    experiment = config(arms=arms, stages=stages, contrasts=contrasts, primary="exposure")
    assert design.role("later", experiment) == "total"
    like = [name for name in contrasts if design.is_like_primary(name, experiment)]
    assert like == ["total", "exposure"]


def test_contrasts_with_a_role_come_first_then_the_primary_one():
    contrasts = {"a": ATTRIBUTION, "b": EXPOSURE, "because": {"own": 1, "behavior": -1}}
    contrasts |= {"t": TOTAL, "z": {}, "d": {}}
    experiment = config(arms=ARMS, contrasts=contrasts, primary="z")
    assert design.contrasts_in_order(experiment) == ["t", "b", "a", "z", "because", "d"]
    assert design.leading(experiment) == ["a", "b", "t", "z"]


PAIRS = {
    "attribution": {"a": 1, "b": -1, "other_a": -1, "other_b": 1},
    "exposure": {"other_a": 1, "other_b": -1},
    "because": {"a": 1, "behavior": -1},
    "total": {"b": -1, "a": 1},
}


def test_arms_of_a_pair_stand_side_by_side_plus_side_first():
    stages = {"a": "own", "b": "cheap", "other_a": "other", "other_b": "other_cheap"}
    arms = {arm: [stage, "behavior"] for arm, stage in (stages | {"apart": "both"}).items()}
    arms |= {"base": [], "behavior": ["behavior"]}
    experiment = config(arms=dict(sorted(arms.items())), contrasts=PAIRS, primary="attribution")
    assert design.pairs(experiment) == [("a", "b"), ("other_a", "other_b")]
    assert design.arms_in_order(experiment) == [
        *("base", "behavior", "a", "b", "other_a", "other_b", "apart")
    ]
    assert design.compared(experiment) == ("a", "b")
    assert design.compared(experiment | {"primary": "because"}) == ("a", "behavior")
    alone = {"sum": {"a": 1, "b": -0.5, "other_a": -0.5}}
    assert design.compared(experiment | {"contrasts": alone, "primary": "sum"}) is None
