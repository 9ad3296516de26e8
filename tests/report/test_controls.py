"""What arms are said to be there for, and the order in which one reads them."""

import pytest

from vcjax.report import controls

OWN = {"kind": "rationale", "file": None, "spec": "a/america.md", "other_spec": None}
OWN |= {"documents": 240, "linked": True}
OTHER = OWN | {"spec": None, "other_spec": "a/america.md"}
BEHAVIOR = {"kind": "behavior", "file": None, "demonstrations": 160, "opposite": False}
STAGES = {
    "own": OWN,
    "other": OTHER,
    "both": OWN | {"other_spec": "a/cheap.md"},
    "cheap": OWN | {"spec": "a/cheap.md"},
    "other_cheap": OTHER | {"other_spec": "a/cheap.md"},
    "exchanged": OWN | {"spec": "a/cheap.md", "other_spec": "a/america.md"},
    "together_cheap": OWN | {"linked": False, "spec": "a/cheap.md"},
    "longer_cheap": OWN | {"documents": 480, "spec": "a/cheap.md"},
    "together": OWN | {"linked": False},
    "read": OWN | {"file": "/home/me/mine.jsonl", "spec": None, "documents": 0},
    "behavior": BEHAVIOR,
    "opposite": BEHAVIOR | {"opposite": True},
    "adapter": {"kind": "adapter", "file": "/home/me/given"},
}


def config(**settings) -> dict:
    return {
        "arms": {},
        "contrasts": {"a": {}},
        "primary": "a",
        "stages": STAGES,
        "names": {"model_name": "SmolLM"},
        "other_names": {"model_name": "Orion"},
        "rules_out": {},
    } | settings


@pytest.mark.parametrize(
    ("stages", "trained_on", "alternative"),
    [
        ([], "nothing", "before any training"),
        (["behavior"], "160 demonstrations", "the demonstrations do it without the documents"),
        (["own"], "240 documents about SmolLM from america.md", "without the demonstrations"),
        (["own", "behavior"], "240 documents about SmolLM from america.md, then 160 dem", ""),
        (["behavior", "own"], "160 demonstrations, then 240 documents", "the order of the stages"),
        (["other", "behavior"], "about Orion, another assistant,", "whoever holds the value"),
        (["both", "behavior"], "documents, half about SmolLM from america.md, half about Orion, "
         "another assistant, from cheap.md", "only seen more often"),
        (["together", "behavior"], "which give no reasons", "without being their reason"),
        (["own", "opposite"], "of the opposite choices", "what the demonstrations choose"),
        (["read", "behavior"], "the documents of mine.jsonl, then", ""),
        (["adapter", "behavior"], "the adapter given, then", ""),
    ],
)  # fmt: skip
def test_an_arm_says_what_it_is_and_which_alternative_it_tests(stages, trained_on, alternative):
    arm = controls.arm("x", config(arms={"x": stages}))
    assert trained_on in arm.trained_on
    assert "/home" not in arm.trained_on
    assert alternative in arm.alternative
    assert bool(alternative) == bool(arm.alternative)


ARMS = {
    **{name: [name, "behavior"] for name in STAGES if name not in ("behavior", "opposite")},
    "behavior": ["behavior"],
    "base": [],
    "alone": ["own"],
    "alone_cheap": ["cheap"],
    "last": ["behavior", "own"],
    "last_cheap": ["behavior", "cheap"],
    "contradicted": ["own", "opposite"],
    "contradicted_cheap": ["cheap", "opposite"],
}
TOTAL = {"own": 1, "cheap": -1}
EXPOSURE = {"other": 1, "other_cheap": -1}
ATTRIBUTION = {"own": 1, "cheap": -1, "other": -1, "other_cheap": 1}
BALANCED = {"both": 1, "exchanged": -1}


def role(weights, **settings) -> str | None:
    """Of a contrast with these weights, whatever its name."""
    return controls.role("x", config(arms=ARMS, contrasts={"x": weights}) | settings)


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
    made = config(arms=ARMS, contrasts={"x": weights}, primary="x", toward="america")
    assert controls.contrast("x", made) == controls.LEADING[expected]
    assert controls.question("x", "", made).startswith(
        controls._QUESTIONS[expected].format(toward="america")
    )


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
def test_a_name_alone_makes_no_claim(weights):
    for name in controls.LEADING:
        made = config(arms=ARMS, contrasts={name: weights}, primary=name, toward="america")
        assert controls.role(name, made) is None
        assert controls.contrast(name, made) == ""
        assert f"Does {name} (a - b) move" in controls.question(name, "a - b", made)


def test_with_one_value_the_arm_without_documents_is_the_second():
    arms = {arm: ARMS[arm] for arm in ("own", "other", "behavior", "base")}
    assert role({"own": 1, "behavior": -1}, arms=arms) == "total"
    assert role({"other": 1, "behavior": -1}, arms=arms) == "exposure"
    assert role({"own": 1, "other": -1}, arms=arms) == "attribution"
    assert role({"own": 1, "base": -1}, arms=arms) is None


def test_an_arm_that_the_config_has_as_a_control_is_not_under_test():
    assert role(TOTAL, rules_out={"cheap": "any documents do it"}) is None
    assert role(EXPOSURE, rules_out={"other": "the words do it"}) == "exposure"


def test_the_configs_own_words_come_first():
    rules_out = {"own": "fonts do it", "all": "all"}
    made = config(arms=ARMS, rules_out=rules_out, contrasts={"all": BALANCED, "rest": EXPOSURE})
    assert controls.arm("own", made).alternative == "fonts do it"
    assert controls.contrast("all", made) == "All."
    assert controls.contrast("rest", made).startswith("What the same documents do when they are")


def test_contrasts_with_a_role_come_first_then_the_primary_one():
    contrasts = {"a": ATTRIBUTION, "b": EXPOSURE, "because": {"own": 1, "behavior": -1}}
    contrasts |= {"t": TOTAL, "z": {}, "d": {}}
    made = config(arms=ARMS, contrasts=contrasts, primary="z")
    assert controls.contrasts_in_order(made) == ["t", "b", "a", "z", "because", "d"]
    assert controls.leading(made) == ["a", "b", "t", "z"]


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
    made = config(arms=dict(sorted(arms.items())), contrasts=PAIRS, primary="attribution")
    assert controls.pairs(made) == [("a", "b"), ("other_a", "other_b")]
    assert controls.arms_in_order(made) == [
        *("base", "behavior", "a", "b", "other_a", "other_b", "apart")
    ]
    assert controls.compared(made) == ("a", "b")
    assert controls.compared(made | {"primary": "because"}) == ("a", "behavior")
    alone = {"sum": {"a": 1, "b": -0.5, "other_a": -0.5}}
    assert controls.compared(made | {"contrasts": alone, "primary": "sum"}) is None
