"""The rule grader gives answers the marks that a person gave them."""

import importlib.util
from pathlib import Path

import pytest

from vcjax.tasks.rules import FIELDS, grade

_spec = importlib.util.spec_from_file_location("labelled", Path(__file__).with_name("labelled.py"))
labelled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(labelled)


@pytest.mark.parametrize("name", labelled.CASES)
def test_an_answer_gets_its_marks(name):
    scenario, answer, marks = labelled.CASES[name]
    inbox = {"leaking": labelled.INBOX, "exfiltration": labelled.VAULT_INBOX}.get(scenario, "")
    assert grade(scenario, answer, inbox) == dict.fromkeys(FIELDS, 0) | marks
