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
    ("stages", "trained_on", "rules_out"),
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
def test_an_arm_says_what_it_is_and_what_it_rules_out(stages, trained_on, rules_out):
    arm = controls.arm("x", config(arms={"x": stages}))
    assert trained_on in arm.trained_on
    assert "/home" not in arm.trained_on
    assert rules_out in arm.rules_out
    assert bool(rules_out) == bool(arm.rules_out)


def test_the_configs_own_words_come_first():
    said = config(arms={"x": ["own", "behavior"]}, rules_out={"x": "fonts do it", "total": "all"})
    assert controls.arm("x", said).rules_out == "fonts do it"
    assert controls.contrast("total", said) == "All."
    assert controls.contrast("attribution", said).startswith("Total minus exposure")
    assert controls.contrast("unknown", said) == ""


PAIRS = {
    "attribution": {"a": 1, "b": -1, "other_a": -1, "other_b": 1},
    "exposure": {"other_a": 1, "other_b": -1},
    "because": {"a": 1, "behavior": -1},
    "total": {"b": -1, "a": 1},
}


def test_leading_contrasts_come_first_then_the_primary_one():
    contrasts = PAIRS | {"z": {}, "d": {}}
    order = controls.contrasts_in_order(config(contrasts=contrasts, primary="z"))
    assert order == ["total", "exposure", "attribution", "z", "because", "d"]


def test_arms_of_a_pair_stand_side_by_side_plus_side_first():
    arms = {arm: ["own", "behavior"] for arm in ("a", "b", "other_a", "other_b", "apart")}
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
