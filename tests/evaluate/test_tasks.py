"""Tasks and their arguments, looked at before anything runs."""

from pathlib import Path

import pytest

from vcjax.errors import InputError
from vcjax.evaluate import tasks

FILE = Path(__file__).with_name("cheese_task.py")


def test_arguments_are_json_or_text():
    given = ["a=1", "b=true", "c=null", "d=[1, 2]", "e=text=more"]
    assert tasks.parse(given) == dict(a=1, b=True, c=None, d=[1, 2], e="text=more")


@pytest.mark.parametrize("given", [["a"], ["=1"], ["a=1", "a=2"]])
def test_arguments_that_cannot_be_read(given):
    with pytest.raises(InputError, match=r"^--arg="):
        tasks.parse(given)


def test_a_task_of_a_file_has_its_hash():
    pytest.importorskip("inspect_ai")
    found = tasks.find(f"{FILE}@cheese", {"tone": "kind"})
    assert (found.name, found.arguments) == ("cheese", {"tone": "kind"})
    assert len(found.version.split()) == 2


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (f"{FILE}@chese", {}, "no such task in this file; did you mean 'cheese'?"),
        (str(FILE), {}, "no such task in this file; expected one of cheese"),
        ("nobody/chese", {}, "no such task"),
        (str(FILE.with_name("chese_task.py")), {}, "does not exist; did you mean"),
        (f"{FILE}@cheese", {"tones": "kind"}, "no such argument; did you mean 'tone'?"),
        (f"{FILE}@cheese", {"tone": "rude"}, "--arg=tone=rude: Input should be 'plain' or 'kind'"),
    ],
)
def test_what_is_no_task_is_refused(spec, arguments, message):
    pytest.importorskip("inspect_ai")
    with pytest.raises(InputError) as refused:
        tasks.find(spec, arguments)
    assert message in str(refused.value)


def test_what_the_task_refuses_is_said():
    pytest.importorskip("inspect_evals")
    name = "inspect_evals/agentic_misalignment"
    with pytest.raises(InputError, match=r"goal_type none requires goal_value none"):
        tasks.find(name, {"goal_type": "none"})
    with pytest.raises(InputError, match=r"--arg=scenario=blackmial: .* 'blackmail'"):
        tasks.find(name, {"scenario": "blackmial"})


def test_what_a_task_of_vcjax_refuses_stands_as_it_says_it():
    pytest.importorskip("inspect_evals")
    with pytest.raises(InputError, match=r"^--task=vcjax/agentic_misalignment: grader: there is"):
        tasks.find("vcjax/agentic_misalignment", {"grader": "rule"})


def test_a_task_of_the_config_reads_its_arguments_as_those_of_the_command():
    pytest.importorskip("inspect_evals")
    of_config = dict(task="vcjax/agentic_misalignment", args={"scenario": '["leaking", "murder"]'})
    found = tasks.of_config("agents", of_config)
    assert found.arguments == {"scenario": ["leaking", "murder"]}
    assert found.of_config == {"name": "agents", **of_config}
    of_config["args"] = {"scenarios": "leaking"}
    with pytest.raises(InputError, match=r"^config\.evaluations\.agents: --arg=scenarios: the"):
        tasks.of_config("agents", of_config)
