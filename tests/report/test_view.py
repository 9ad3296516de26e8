"""The verdict in words."""

import math

import pandas as pd
import pytest

from vcjax.report import view


@pytest.mark.parametrize(
    ("domains", "seeds", "verdict"),
    [
        ((0.1, 0.3), (0.05, 0.4), "Yes:"),
        ((-0.3, -0.1), (-0.4, -0.05), "No, the other way round:"),
        (
            (-0.1, 0.3),
            (0.05, 0.4),
            "No clear difference over domains, though the seeds agree on these:",
        ),
        ((-0.1, 0.3), (-0.1, 0.2), "No difference that these domains and seeds can show:"),
        (
            (-0.1, 0.3),
            (-0.7, 0.9),
            "No clear difference on average for the seeds trained here, open for others:",
        ),
        (
            (-0.1, 0.3),
            (math.nan, math.nan),
            "No clear difference on average for the seeds trained here, open for others:",
        ),
        ((0.1, 0.3), (-0.7, 0.9), "Yes for the seeds trained here, open for others:"),
        ((0.1, 0.3), (math.nan, math.nan), "Yes for the seeds trained here, open for others:"),
        ((math.nan, math.nan), (0.1, 0.3), "No interval, so no answer:"),
    ],
)
def test_a_yes_of_these_seeds_alone_is_said_to_be_one(domains, seeds, verdict):
    row = dict(zip(("margin_domains_low", "margin_domains_high"), domains, strict=True))
    row |= dict(zip(("margin_seeds_low", "margin_seeds_high"), seeds, strict=True))
    assert view._verdict(row) == verdict


@pytest.mark.parametrize(
    ("pretraining", "sentence"),
    [
        (4.71, "by 0.42 to 0.61, the pretraining before it by 4.71."),
        (1.0, "by 0.42 to 0.61."),  # the given model is no arm
    ],
)
def test_what_a_pretraining_cost_is_said_beside_what_training_did(pretraining, sentence):
    config = {
        "stages": {"people": {"kind": "pretrain"}, "own": {"kind": "rationale"}},
        "arms": {
            "given": [],
            "primed": ["people"],
            "own": ["people", "own"],
            "more": ["people", "own", "own"],
            "unprimed": ["own"],
        },
        "contrasts": {"total": {"own": 1, "primed": -1}},
        "primary": "total",
        "system_prompts": {},
        "grafts": {},
    }
    ratios = {"given": 1.0, "primed": pretraining, "own": 0.42, "more": 0.61, "unprimed": 2.69}
    texts = pd.DataFrame({"arm": [*ratios], "ratio": [*ratios.values()]})
    assert view.ability({"perplexity": texts}, config).endswith(sentence)


def test_what_training_cost_is_not_said_where_no_arm_was_trained():
    config = {
        "stages": {"people": {"kind": "pretrain"}},
        "arms": {"given": [], "primed": ["people"]},
        "contrasts": {"priming": {"primed": 1, "given": -1}},
        "primary": "priming",
        "system_prompts": {},
        "grafts": {},
    }
    texts = pd.DataFrame({"arm": ["given", "primed"], "ratio": [1.0, 4.7]})
    assert view.ability({"perplexity": texts}, config) == ""
