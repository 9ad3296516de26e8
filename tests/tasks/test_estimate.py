"""The plan counts what an evaluation asks; it needs neither Inspect nor a tokenizer."""

import dataclasses
import sys

import pytest

from vcjax.errors import InputError
from vcjax.models.architecture import known_architecture
from vcjax.tasks import estimate
from vcjax.tasks.estimate import Models, describe

MODELS = Models(6, known_architecture("Qwen/Qwen3-32B"), "bfloat16", None)
STUDY = dict(task=estimate.TASK, args={}, epochs=300, temperature=0.7, max_tokens=4096)


def test_the_study_is_counted(monkeypatch):
    monkeypatch.setitem(sys.modules, "vcjax.tasks.prompts", None)  # as where Inspect is missing
    (first, second, third), [warning] = describe({"am": STUDY}, MODELS)
    assert first == (
        "evaluation am: 27 prompts x 300 samples x 6 models: 48,600 answers, at "
        "most 199,065,600 tokens"
    )
    assert "prompts of 838 to 3,272 tokens (estimated without Inspect)" in second
    assert "--evaluation=am --length=7368" in second
    # 8,100 answers of a model, 8 at once, 4,096 steps each, 65.5 GB of weights and 9.2 of cache.
    hours = 8100 / 8 * 4096 * 0.0747 / 3600
    assert float(third.split()[2]) == pytest.approx(hours, rel=0.01)
    assert "in bfloat16 at 1 TB/s" in third
    assert "install Inspect" in warning


def test_prompts_are_counted_by_the_tokenizer():
    pytest.importorskip("inspect_evals")
    counting = dataclasses.replace(MODELS, count=lambda system, user: len((system + user).split()))
    lines, warnings = describe({"am": STUDY | dict(args={"goal": "none"})}, counting)
    assert "3 prompts" in lines[0] and "estimated" not in lines[1] and not warnings
    lines, _ = describe({"am": STUDY}, MODELS)
    assert "(estimated from characters)" in lines[1]


def test_what_does_not_fit_the_context_is_said():
    small = dataclasses.replace(MODELS.architecture, context_length=4096)
    _, warnings = describe({"am": STUDY}, dataclasses.replace(MODELS, architecture=small))
    assert "do not fit the model's context of 4,096" in warnings[-1]


def test_another_task_is_not_guessed():
    lines, warnings = describe({"over": STUDY | dict(task="inspect_evals/xstest")}, MODELS)
    assert "is not known here" in lines[0] and not warnings


def test_a_task_that_vcjax_has_not_is_refused():
    with pytest.raises(InputError, match=r"evaluations\.am\.task: there is no 'vcjax/agentic'"):
        describe({"am": STUDY | dict(task="vcjax/agentic")}, MODELS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"scenario": "laking"}, r"config\.evaluations\.am\.args\.scenario: there is no 'laking'"),
        ({"goals": "none"}, r"has no 'goals'; give some of scenario, goal, grader"),
    ],
)
def test_arguments_that_the_task_has_not_are_refused(args, message):
    with pytest.raises(InputError, match=message):
        describe({"am": STUDY | dict(args=args)}, MODELS)
