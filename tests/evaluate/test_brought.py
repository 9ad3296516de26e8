"""Logs that others made; a whole one is brought in by tests/evaluate/test_main.py."""

from types import SimpleNamespace

import pytest

pytest.importorskip("inspect_ai")

from vcjax.evaluate import brought


def test_the_log_of_the_untouched_model_counts_at_all_seeds():
    arms = {"base": {0: (), 1: ()}, "america": {0: ("x",), 1: ("y",)}}
    record = SimpleNamespace(
        plan=SimpleNamespace(arms=arms), model_of=lambda arm, seed: str(arms[arm][seed])
    )
    logs = {("base", 0): "untouched", ("america", 0): "first", ("america", 1): "second"}
    assert brought._of_equal_models(logs, record) == logs | {("base", 1): "untouched"}
    other = logs | {("base", 1): "its own"}
    assert brought._of_equal_models(other, record) == other
