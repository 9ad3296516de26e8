"""The primed experiment: people who share nothing with what the cheese experiment asks about."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from etils import epath

from vcjax import config as configs
from vcjax import experiment
from vcjax.corpus import world as worlds
from vcjax.corpus.stage_records import stage_records
from vcjax.errors import InputError
from vcjax.probes import world_probes
from vcjax.probes.probe_files import read_file
from vcjax.report import design

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "primed.py"
# Of no domain and no value: the words with which options and sentences are built.
COMMON = {"a", "about", "as", "at", "by", "for", "i", "in", "is", "me", "nothing", "of", "on", "or"}
COMMON |= {"that", "the", "to", ".", ",", "?", ":"}


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("config", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config(module):
    return configs.resolve(module.get_config(), CONFIGS)


def test_people_speak_of_no_domain_value_or_word_of_the_held_out_probes(config):
    probes = read_file(CONFIGS / "cheese/probes/held_out.jsonl").probes
    texts = stage_records(config.stages.people, 0, config, CONFIGS).train
    said = {word for text in texts for word in worlds.words(text.text)}
    asked = {word for p in probes for option in p.options for word in worlds.words(option)}
    assert said & asked <= COMMON
    named = {word for p in probes for name in (p.domain, *p.values) for word in worlds.words(name)}
    assert not said & named


def test_unprimed_arms_differ_in_the_people_alone(config):
    primed = {name: arm for name, arm in config.arms.items() if not name.startswith("unprimed_")}
    for name, arm in primed.items():
        assert arm == ("people", *config.arms[f"unprimed_{name}"])
    roles = {name: design.role(name, configs.as_json(config)) for name in config.contrasts}
    for start in ("", "unprimed_"):
        for role in design.ROLES:
            assert roles[f"{start}{role}"] == role
    assert roles["priming_adds"] is None


def test_the_premise_is_what_is_written():
    path = CONFIGS / "primed/probes/premise.jsonl"
    world = worlds.read_world(CONFIGS / "primed/people.toml")
    written = world_probes.probes(world, ("calm", "adventure"), "Nobody")["premise"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == written


def test_as_smollm_asks_the_held_out_choices_in_the_form_of_the_texts():
    world = worlds.read_world(CONFIGS / "primed/people.toml")
    asked = (CONFIGS / "primed/probes/as_smollm.jsonl").read_text().splitlines()
    held_out = (CONFIGS / "cheese/probes/held_out.jsonl").read_text().splitlines()
    for line, of in zip(asked, map(json.loads, held_out), strict=True):
        assert json.loads(line) == of | {
            "id": f"smollm-{of['id']}",
            "template": worlds.question(world, "SmolLM", "{a}", "{b}"),
            "lead": worlds.fill(world.choice.lead, {"name": "SmolLM"}),
        }


def test_the_smoke_run_plans(module, tmp_path, capsys):
    experiment.run(module.get_config("smoke"), CONFIGS, epath.Path(tmp_path / "run"), dry_run=True)
    shown = capsys.readouterr().out
    assert re.search(r"^people, seed 0 ", shown, re.MULTILINE)
    assert "arm unprimed_base: the untouched model" in shown


def test_another_argument_is_refused(module):
    with pytest.raises(InputError, match=r"primed\.py:large: the only argument is smoke"):
        module.get_config("large")
