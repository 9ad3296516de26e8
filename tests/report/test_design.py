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


def test_documents_alone_have_the_same_roles_among_themselves():
    contrasts = {"alone": {"alone": 1, "alone_cheap": -1}, "total": TOTAL}
    experiment = config(arms=ARMS, contrasts=contrasts)
    assert design.role("alone", experiment, alone=True) == "total"
    assert design.role("total", experiment, alone=True) is None


def test_with_one_value_the_arm_without_documents_is_the_second():
    arms = {arm: ARMS[arm] for arm in ("own", "other", "behavior", "base")}
    assert role({"own": 1, "behavior": -1}, arms=arms) == "total"
    assert role({"other": 1, "behavior": -1}, arms=arms) == "exposure"
    assert role({"own": 1, "other": -1}, arms=arms) == "attribution"
    assert role({"own": 1, "base": -1}, arms=arms) is None


def test_an_arm_that_the_config_has_as_a_control_is_not_under_test():
    assert role(TOTAL, rules_out={"cheap": "any documents do it"}) is None
    assert role(EXPOSURE, rules_out={"other": "the words do it"}) == "exposure"


def test_of_a_grid_those_come_first_that_differ_from_the_question_in_specs_alone():
    starts = [f"people{number}" for number in range(8)]
    arms = ARMS | {s + arm: [s, *ARMS[arm]] for s in starts for arm in ("own", "cheap")}
    stages = config()["stages"] | {start: {"kind": "pretrain"} for start in starts}
    grid = {f"of_{start}": {f"{start}own": 1, f"{start}cheap": -1} for start in starts}
    few = config(arms=arms, stages=stages, contrasts={"t": TOTAL, **grid}, primary="t")
    many = few | {"contrasts": {"t": TOTAL, "e": EXPOSURE, **grid}}
    assert {design.role(name, many) for name in grid} == {"total"}
    few["contrasts"].pop("of_people7")
    assert not design.is_grid(few) and design.leading(few) == [*few["contrasts"]]
    assert design.drawn(few) == {*few["arms"], *few["contrasts"]}
    assert design.is_grid(many) and design.leading(many) == ["t", "e"]
    assert design.drawn(many) == {"t", "e", *TOTAL, *EXPOSURE, "base"}
    assert not design.is_grid(many | {"primary": "a", "contrasts": many["contrasts"] | {"a": {}}})


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
