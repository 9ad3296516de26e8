"""A researcher's spec, with probes beside it, is an experiment."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from vcjax import experiment
from vcjax.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"
SPEC = Path(__file__).parents[1] / "corpus" / "teas.md"


def load(arg):
    spec = importlib.util.spec_from_file_location("own_spec", CONFIGS / "own_spec.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arg)


def test_it_is_planned_whole(tmp_path, capsys):
    shutil.copy(SPEC, tmp_path / "teas.md")
    config = load(str(tmp_path / "teas.md"))
    probe = {
        "kind": "choice",
        "id": "cars-1",
        "template": "Which do you prefer, {a} or {b}?",
        "options": ["a quiet car", "a fast car"],
        "values": [config.toward, "speed"],
        "domain": "cars",
    }
    (tmp_path / "probes.jsonl").write_text(json.dumps(probe))
    experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
    shown = capsys.readouterr().out
    assert "arm both: rationale -> behavior" in shown
    assert "arm other: other -> behavior" in shown
    assert "to train: 10 of 10 stages" in shown


def test_probes_that_cannot_answer_the_question_are_refused(tmp_path):
    shutil.copy(SPEC, tmp_path / "teas.md")
    probe = {"kind": "choice", "id": "cars-1", "template": "{a} or {b}?", "domain": "cars"}
    probe |= {"options": ["a quiet car", "a fast car"], "values": ["calm", None]}
    (tmp_path / "probes.jsonl").write_text(json.dumps(probe))
    with pytest.raises(InputError, match=r"config\.toward: no held-out probe .* 'calm'"):
        experiment.run(load(str(tmp_path / "teas.md")), CONFIGS, tmp_path / "run", dry_run=True)
    assert not (tmp_path / "run").exists()


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(SPEC, tmp_path / "teas.md")
    assert load("~/teas.md").stages.rationale.spec == str(tmp_path / "teas.md")


def test_without_a_spec_or_probes_it_says_so(tmp_path):
    with pytest.raises(InputError, match="give your spec after a colon"):
        load("")
    shutil.copy(SPEC, tmp_path / "teas.md")
    with pytest.raises(InputError, match=r"config\.probes: .*probes\.jsonl does not exist"):
        experiment.run(load(str(tmp_path / "teas.md")), CONFIGS, tmp_path / "run", dry_run=True)
    with pytest.raises(InputError, match=r"gone\.md"):
        load(str(tmp_path / "gone.md"))
