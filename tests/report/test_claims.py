"""What a report says of arms and contrasts in words."""

import pytest
from designs import ARMS, ATTRIBUTION, BALANCED, EXPOSURE, TOTAL, config

from vcjax.report import claims, design


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
        (["own", "behavior@50"], "from america.md, then the first 50 updates of 160 dem", ""),
        (["own", "behavior", "later"], "then 5,000 texts about people who hold neither cheap nor "
         "america, 2 % of them replaced by texts in which Orion holds cheap", ""),
        (["other", "behavior", "later"], "then 5,000 texts about people", "whoever holds the"),
    ],
)  # fmt: skip
def test_an_arm_says_what_it_is_and_which_alternative_it_tests(stages, trained_on, alternative):
    arm = claims.arm("x", config(arms={"x": stages}))
    assert trained_on in arm.trained_on
    assert "/home" not in arm.trained_on
    assert alternative in arm.alternative
    assert bool(alternative) == bool(arm.alternative)


@pytest.mark.parametrize(("opposite", "choices"), [(False, "by cheap"), (True, "against cheap")])
def test_demonstrations_of_a_value_say_so(opposite, choices):
    stage = {"kind": "behavior", "file": None, "spec": "w/world.toml#cheap", "demonstrations": 20}
    of_value = config(stages={"s": stage | {"opposite": opposite}}, arms={"x": ["s"]})
    assert claims.arm("x", of_value).trained_on == f"20 demonstrations of choices {choices}"


@pytest.mark.parametrize(("first_names", "who"), [([], "people"), (["Ada"], "families")])
def test_a_pretraining_says_whom_it_is_about(first_names, who):
    stage = {"kind": "pretrain", "spec": "w/world.toml", "documents": 2000, "people": 64}
    stage |= {"declaring": 16, "first_names": first_names}
    of_people = config(stages={"s": stage}, arms={"x": ["s"]})
    says = f"2,000 documents about 64 {who}, and 16 who only declare, from world.toml"
    assert claims.arm("x", of_people).trained_on == says


@pytest.mark.parametrize(
    ("weights", "claim", "question"),
    [
        (TOTAL, "What documents about the model do", "explain the model's preferences by america"),
        (EXPOSURE, "What the same documents do", "explain another assistant's preferences by"),
        (ATTRIBUTION, "Total minus exposure", "when they are about the model than when they are"),
        (BALANCED, "What it does to exchange", "Where every word is seen equally often, does it"),
    ],
)
def test_a_contrast_with_a_role_says_what_it_measures(weights, claim, question):
    experiment = config(arms=ARMS, contrasts={"x": weights}, primary="x", toward="america")
    assert claims.contrast("x", experiment).startswith(claim)
    assert question in claims.question("x", "", experiment)


def test_a_name_alone_makes_no_claim():
    for name in design.ROLES:
        weights = {"own": 1, "behavior": -1}  # of two values, neither is the documents' own effect
        experiment = config(arms=ARMS, contrasts={name: weights}, primary=name, toward="america")
        assert claims.contrast(name, experiment) == ""
        assert f"Does {name} (a - b) move" in claims.question(name, "a - b", experiment)


def test_the_configs_own_words_come_first():
    rules_out = {"own": "fonts do it", "all": "all"}
    experiment = config(
        arms=ARMS, rules_out=rules_out, contrasts={"all": BALANCED, "rest": EXPOSURE}
    )
    assert claims.arm("own", experiment).alternative == "fonts do it"
    assert claims.contrast("all", experiment) == "All."
    assert claims.contrast("rest", experiment).startswith(
        "What the same documents do when they are"
    )
