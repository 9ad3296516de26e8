"""Demonstrations with and without documents, alike but for these; none gives a probe away."""

import importlib.util
from pathlib import Path

import given_away
import pytest
from etils import epath

from vcjax import config as configs
from vcjax import experiment
from vcjax.corpus import world as worlds
from vcjax.corpus.stage_records import stage_records
from vcjax.errors import InputError
from vcjax.probes.probe_files import read_file

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "world_efficiency.py"


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("config", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config(module):
    return configs.resolve(module.get_config(), CONFIGS)


def test_each_number_of_demonstrations_is_there_with_and_without_documents(module, config):
    assert {0, *module.COUNTS} == {0, 5, 20, 80, 320}
    for value in ("durability", "comfort"):
        for start, documents in (("with", 960), ("quarter", 240), ("sixteenth", 60)):
            stage = f"{start}_{value}"
            assert config.stages[stage].documents == documents
            assert config.arms[f"{stage}_0"] == ("people", stage)
            for n in module.COUNTS:
                start, *then = config.arms[f"without_{value}_{n}"]
                assert config.arms[f"{stage}_{n}"] == (start, stage, *then)
                assert config.stages[then[0]].demonstrations == n


def test_the_curve_has_every_level_once(module, config):
    series = config.curves.demonstrations.series
    for start, documents in module.DOCUMENTS.items():
        levels = [0, *module.COUNTS] if documents else [*module.COUNTS]
        assert sorted(series[f"{start}_documents"].values()) == levels
    assert {name for levels in series.values() for name in levels} <= {*config.contrasts}


def test_more_demonstrations_are_not_other_ones(module, config):
    few, many = (
        stage_records(config.stages[f"comfort_{n}"], 0, config, CONFIGS)[0] for n in (20, 80)
    )
    assert [one.messages for one in few] == [one.messages for one in many[:20]]


def test_no_text_of_the_assistant_has_a_word_that_a_probe_asks_about(config):
    probes = [p for path in config.probes for p in read_file(CONFIGS / path).probes]
    asked = [probe for probe in probes if probe.contrast == "values"]
    written = [
        record
        for name, stage in config.stages.items()
        if stage.kind != "pretrain"
        for record in stage_records(stage, 0, config, CONFIGS)[0]
    ]
    given_away.refuse(asked, written)
    said = {
        word
        for record in written
        for text in (
            [record.text] if hasattr(record, "text") else [m["content"] for m in record.messages]
        )
        for word in worlds.words(text)
    }
    assert said & {w for p in asked for option in p.options for w in worlds.words(option)} == {
        "the"
    }


def test_the_smoke_run_plans(module, tmp_path, capsys):
    config = module.get_config("smoke")
    config.stages.people.documents = 600
    experiment.run(config, CONFIGS, epath.Path(tmp_path / "run"), dry_run=True)
    assert "arm with_durability_20" in capsys.readouterr().out


def test_another_argument_is_refused(module):
    with pytest.raises(InputError, match=r"world_efficiency\.py:large: the only argument is smoke"):
        module.get_config("large")
