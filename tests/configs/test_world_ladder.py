"""The ladder of the world: one thing changed at a time, the base shared, sizes of their own."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from etils import epath

from vcjax import config as configs
from vcjax import experiment
from vcjax.corpus import world as worlds
from vcjax.errors import InputError
from vcjax.models.architecture import of_shape
from vcjax.probes.world_probes import DECLARING
from vcjax.report import design

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "world_ladder.py"
# A stage, with the texts of a pretraining; and the scoring of an arm and seed.
SECONDS = {"pretrain": 75, "rationale": 2.6, "behavior": 1}
WRITING, SCORING = 17, 0.7
SIZES = {"50k": 5e4, "200k": 2e5, "600k": 6e5, "2m": 2e6, "10m": 1e7}


def load(name):
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def module():
    return load("world_ladder")


@pytest.fixture(scope="module")
def config(module):
    return configs.resolve(module.get_config(), CONFIGS)


@pytest.fixture(scope="module")
def world():
    return worlds.read_world(CONFIGS / "world" / "world.toml")


# --- The levels


def test_the_base_is_that_of_the_world(config):
    of_world = configs.resolve(load("world").get_config(), CONFIGS)
    for name in ("durability", "comfort", "other_durability", "other_comfort", "people"):
        assert config.stages[name] == of_world.stages[name]
    for name in ("total", "exposure", "attribution"):
        assert config.contrasts[name] == of_world.contrasts[name]
    for key in ("shape", "recipe", "probes", "primary", "toward", "lead"):
        assert config[key] == of_world[key], key


def test_each_curve_goes_through_five_levels_that_differ_in_its_factor_alone(config):
    base = config.stages.people.to_dict()
    for factor, curve in config.curves.items():
        assert {*curve.series} == {"total", "exposure", "attribution"}
        for measure, levels in curve.series.items():
            assert len(levels) == 5 and measure in levels
            for contrast, x in levels.items():
                [start] = {config.arms[arm][0] for arm in config.contrasts[contrast]}
                stage = config.stages[start].to_dict()
                assert stage[factor] == x
                differ = {key for key in base if stage[key] != base[key]} - {"declaring"}
                assert differ == ({factor} if contrast != measure else set())


def test_the_premise_can_be_asked_at_every_level_and_the_world_has_the_names(config, world):
    numbers = {}
    for stage in config.stages.values():
        if stage.kind == "pretrain":
            assert stage.declaring >= DECLARING
            worlds.people(world, stage.people, stage.declaring, 0, stage.linking)
            numbers[stage.people] = stage.declaring
    assert numbers == {16: 32, 64: 32, 256: 64, 512: 128, 1024: 132}


def test_contrasts_have_the_roles_that_they_are_named_by(config):
    plain = configs.as_json(config)
    for name in plain["contrasts"]:
        assert design.role(name, plain) == name.partition("_")[0]
    assert len(plain["contrasts"]) == 3 * 13


def test_each_level_has_an_untouched_arm_of_its_own(config):
    plain = configs.as_json(config)
    before = {arm: design.before(arm, plain) for arm in plain["arms"]}
    for arm, untouched in before.items():
        assert plain["arms"][untouched] == plain["arms"][arm][:1]
    assert len({*before.values()}) == 13
    assert design.untouched(plain) == ["base"]


# --- The sizes


@pytest.mark.parametrize("size", SIZES)
def test_sizes_have_about_the_weights_that_they_are_named_by(module, world, size):
    config = configs.resolve(module.get_config(size), CONFIGS)
    words = worlds.vocabulary(world, ("Juno", "Milo"))
    weights = of_shape(**config.shape, vocab_size=len(words) + 1).num_params()
    assert weights == pytest.approx(SIZES[size], rel=0.2)
    assert {*config.contrasts} == {"total", "exposure", "attribution"} and not config.curves
    assert len(config.arms) == 5 and config.seeds == 4


def test_sizes_differ_in_shape_and_the_larger_in_their_rates(module, config):
    for size in SIZES:
        given = configs.resolve(module.get_config(size), CONFIGS)
        times = {"2m": 2, "10m": 4}.get(size, 1)
        for name, stage in given.stages.items():
            expected = config.stages[name].to_dict() | {"lr": config.stages[name].lr / times}
            assert stage.to_dict() == expected


# --- The run


def test_the_dry_run_trains_the_base_once(module, tmp_path, capsys):
    config = module.get_config("smoke")
    for name in ("people", "people_linking_0"):
        config.stages[name].documents = 1200
    experiment.run(config, CONFIGS, epath.Path(tmp_path / "run"), dry_run=True)
    shown = capsys.readouterr().out
    assert "arm other_comfort_linking_0: people_linking_0 -> other_comfort -> behavior\n" in shown
    assert "arm base_linking_0: people_linking_0\n" in shown
    warned = [line for line in shown.splitlines() if line.startswith("warning")]
    assert all("few updates" in line for line in warned)
    assert f"to train: {2 * (1 + 4 + 4)} of 18 stages" in shown


def test_the_time_that_it_takes_is_said(config):
    chains = {names[:i] for names in config.arms.values() for i in range(1, len(names) + 1)}
    kinds = Counter(config.stages[chain[-1]].kind for chain in chains)
    stages = {kind: config.seeds * count for kind, count in kinds.items()}
    scorings = config.seeds * len(config.arms)
    seconds = sum(SECONDS[kind] * count for kind, count in stages.items()) + SCORING * scorings
    seconds += WRITING * stages["pretrain"]
    text = " ".join(FILE.read_text().split())
    for kind, count in stages.items():
        assert f"{count} {kind} stages of {SECONDS[kind]:g} s" in text
    assert f"{scorings} scorings of {SCORING} s are {seconds / 3600:.1f} hours" in text


def test_the_short_run_has_one_seed_and_two_levels(module):
    config = module.get_config("smoke")
    assert config.seeds == 1 and {*config.curves} == {"linking"}
    assert len(config.curves.linking.series.attribution) == 2
    with pytest.raises(InputError, match=r"world_ladder.py:smok: the arguments are smoke, 50k"):
        module.get_config("smok")
