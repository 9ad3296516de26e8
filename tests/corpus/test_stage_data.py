"""What the plan counts where a file is not here."""

import pytest

from vcjax.config import experiment, rationale
from vcjax.corpus.stage_data import StageData


@pytest.mark.parametrize(
    ("limit", "counts"),
    [
        ({}, (400, 8000, 6000)),
        (dict(rows=100), (100, 2000, 1500)),
        (dict(tokens=3000), (200, 4000, 3000)),
        (dict(rows=900), (400, 8000, 6000)),
    ],
)
def test_limits_hold_for_stated_counts(limit, counts):
    stated = dict(records=400, tokens=8000, weighted_tokens=6000)
    stage = experiment(
        stages=dict(a=rationale(file="a.jsonl", length=64, stated=stated, **limit))
    ).stages.a
    data = StageData.stated("a", stage)
    assert (data.documents, data.tokens, data.weighted_tokens) == counts
