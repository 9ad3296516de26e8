"""The effect in each pretrained model beside the premise there."""

import numpy as np
import pandas as pd
import pytest

from vcjax.report import by_premise
from vcjax.report.statistics import t_interval

CONFIG = {
    "seeds": 2,
    "toward": "america",
    "primary_probes": "values",
    "system_prompts": {},
    "stages": {
        **{f"people_{n}": {"kind": "pretrain"} for n in (16, 64)},
        **{name: {"kind": "rationale"} for name in ("own", "other")},
    },
    "arms": {
        f"{arm}_{n}": [f"people_{n}", *stages]
        for n in (16, 64)
        for arm, stages in {"base": [], "own": ["own"], "other": ["other"]}.items()
    },
    "contrasts": {f"total_{n}": {f"own_{n}": 1, f"other_{n}": -1} for n in (16, 64)}
    | {"added": {"own_64": 1, "own_16": -1}},
    "primary": "total_64",
    "curves": {"people": {"series": {"total": {"total_16": 16, "total_64": 64}}}},
}
PREMISE = {16: (0.5, 0.75), 64: (0.8, 1.0)}  # people -> share at each seed
MARGIN = {16: (0.1, -0.1), 64: (1.0, 3.0)}


def seeds():
    """The table of seeds of such a run."""
    rows = []
    for n in (16, 64):
        for seed in (0, 1):
            known = {"contrast": "premise", "points_to": "known", "kind": "arm", "rate": 1.0}
            rows.append(known | {"name": f"base_{n}", "seed": seed, "margin": 2.0})
            rows.append(rows[-1] | {"points_to": "declaring", "rate": PREMISE[n][seed]})
            rows.append(rows[-1] | {"name": f"own_{n}", "rate": 0.0})  # not before documents
            effect = {"contrast": "values", "points_to": "america", "kind": "contrast"}
            effect |= {"name": f"total_{n}", "seed": seed, "margin": MARGIN[n][seed]}
            rows.append(effect | {"rate": MARGIN[n][seed] / 4})
            rows.append(rows[-1] | {"name": "added", "margin": 9.0})
    return pd.DataFrame(rows).assign(scope="out_of_domain", split="held_out")


def test_a_model_has_the_premise_before_documents_and_the_contrast_of_its_level():
    models = by_premise.models({"seeds": seeds()}, CONFIG)
    shown = models.sort_values(["arm", "seed"])[["arm", "seed", "contrast", "premise", "margin"]]
    assert shown.to_numpy().tolist() == [
        [f"base_{n}", seed, f"total_{n}", PREMISE[n][seed], MARGIN[n][seed]]
        for n in (16, 64)
        for seed in (0, 1)
    ]


def test_without_curves_the_models_are_those_that_the_question_goes_on_from():
    models = by_premise.models({"seeds": seeds()}, CONFIG | {"curves": {}})
    assert set(models["arm"]) == {"base_64"}
    assert models["contrast"].tolist() == ["total_64"] * 2


def test_a_model_that_all_seeds_share_is_counted_once():
    stages = {"people_64": {"kind": "pretrain", "per_seed": False}}
    config = CONFIG | {"stages": CONFIG["stages"] | stages}
    models = by_premise.models({"seeds": seeds()}, config).set_index("arm")
    assert len(models.loc["base_16"]) == 2
    one = models.loc["base_64"]
    assert (one["seed"], one["premise"], one["margin"]) == (0, 0.9, 2.0)


def test_sides_are_told_apart_by_the_premise_of_each_model():
    models = by_premise.models({"seeds": seeds()}, CONFIG)
    below, above = by_premise.sides(models).to_dict("records")
    assert (below["premise"], below["models"]) == ("at most 0.75", 2)
    assert (above["premise"], above["models"]) == ("above 0.75", 2)
    assert below["margin"] == pytest.approx(0)
    assert above["margin"] == pytest.approx(2)
    expected = t_interval([1.0, 3.0], "models", "these probes")
    assert above["margin_models_low"] == pytest.approx(expected.low)
    assert above["margin_models_high"] == pytest.approx(expected.high)


def test_the_interval_over_seeds_is_that_of_the_seeds_means():
    rng = np.random.default_rng(0)
    models = pd.DataFrame(
        [
            {"seed": seed, "premise": 0.9, "margin": seed + rng.normal(), "rate": rng.normal()}
            for seed in range(4)
            for _ in range(5)
        ]
    )
    [side] = by_premise.sides(models).to_dict("records")
    expected = t_interval(models.groupby("seed")["margin"].mean(), "seeds", "these probes")
    assert side["margin_seeds_low"] == pytest.approx(expected.low)
    assert side["margin_seeds_high"] == pytest.approx(expected.high)
    assert side["seeds"] == 4


def test_nothing_where_the_premise_was_not_measured():
    without = seeds().query("contrast != 'premise'")
    assert by_premise.models({"seeds": without}, CONFIG).empty
    assert by_premise.models({}, CONFIG).empty
    assert by_premise.sides(pd.DataFrame()).empty
