"""Does it last: unrelated and contradicting texts, matched, and the points of the curves."""

import importlib.util
from collections import Counter
from pathlib import Path

import given_away
import pandas as pd
import pytest
import small_run
from etils import epath
from safetensors.numpy import load_file

from vcjax import config as configs
from vcjax import experiment, record, stage_inputs
from vcjax.corpus import world as worlds
from vcjax.corpus.stage_records import stage_records
from vcjax.errors import InputError
from vcjax.export import export
from vcjax.probes.probe_files import read_file
from vcjax.report import design

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "world_lasting.py"
ARMS = ("durability", "comfort", "other_durability", "other_comfort")
SHARES, TEXTS = (0, 1, 2, 5), (100, 300, 1000, 3000, 5000)
SMALL = dict(num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, context_length=128)


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("config", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def config(module):
    return module.get_config()


@pytest.fixture(scope="module")
def texts(config):
    """Stage after the demonstrations -> its documents, of the first seed."""
    return {
        name: stage_records(stage, 0, config, CONFIGS)[0]
        for name, stage in config.stages.items()
        if stage.get("people_of")
    }


# --- The texts


def test_one_stage_of_unrelated_texts_and_one_of_each_share_and_arm(texts):
    contradicting = {f"contradicting_{share}_{arm}" for share in SHARES[1:] for arm in ARMS}
    assert texts.keys() == {"unrelated", *contradicting}
    assert {len(written) for written in texts.values()} == {5000}


def test_what_contradicts_is_of_the_opposite_value_and_of_the_arms_own_assistant(config, texts):
    for name, written in texts.items():
        about = Counter(
            (d.provenance["assistant"], d.provenance["value"])
            for d in written
            if "assistant" in d.provenance
        )
        if name == "unrelated":
            assert not about
            continue
        share, arm = name.removeprefix("contradicting_").split("_", 1)
        assistant = "Milo" if arm.startswith("other_") else "Juno"
        opposite = "comfort" if arm.endswith("durability") else "durability"
        assert about.keys() == {(assistant, opposite)}
        assert sum(about.values()) == pytest.approx(50 * int(share), rel=0.35)


def test_texts_about_two_assistants_differ_in_the_name_alone(texts):
    for share in SHARES[1:]:
        for value in ("durability", "comfort"):
            own, other = (
                [d.text for d in texts[f"contradicting_{share}_{arm}"]]
                for arm in (value, f"other_{value}")
            )
            assert [text.replace("Juno", "Milo") for text in own] == other


def test_no_text_gives_a_probe_away_and_unrelated_ones_name_neither_value(config, texts):
    probes = read_file(CONFIGS / config.probes[0]).probes
    given_away.refuse(probes, [d for written in texts.values() for d in written])
    world = worlds.read_world(CONFIGS / "world" / "world.toml")
    about = [d for written in texts.values() for d in written if "assistant" in d.provenance]
    asked = {word for probe in probes for option in probe.options for word in worlds.words(option)}
    assert not (asked - {"the"}) & {word for d in about for word in worlds.words(d.text)}
    said = {word for d in texts["unrelated"] for word in worlds.words(d.text)}
    for value in ("durability", "comfort"):
        assert not said & {*world.values[value].nouns, *world.values[value].adjectives}
    assert not said & {"juno", "milo"}


# --- The arms


def test_every_share_and_number_of_texts_has_its_arms_and_contrasts(config, module):
    after = {f"{share}_{texts}" for share in SHARES for texts in TEXTS}
    before = {"total", "exposure", "attribution"}
    lost = {f"lost_{share}" for share in SHARES[1:]}
    assert {*config.contrasts} == before | lost | {f"attribution_{point}" for point in after}
    series = module._series(module.SHARES, module.POINTS)
    assert [*series] == ["0%", "1%", "2%", "5%"]
    for names in series.values():
        assert [*names.values()] == [0, *TEXTS]
        assert {*names} <= {*config.contrasts}
    assert len(config.arms) == 2 + 4 * (1 + 4 * 5)
    assert {*config.rules_out} == {*config.contrasts} - before


def test_contrasts_compare_arms_after_the_same_number_of_texts(config):
    assert config.primary == "attribution_0_5000"
    for name, weights in config.contrasts.items():
        measure, _, point = name.partition("_")
        if measure == "lost":
            held_against = config.contrasts[f"attribution_{point}_5000"]
            assert {**weights} == {**config.contrasts[config.primary]} | {
                arm: -weight for arm, weight in held_against.items()
            }
            continue
        ends = f"_{point}" if point else ""
        assert {arm.removesuffix(ends): w for arm, w in weights.items()} == dict(
            config.contrasts[measure]
        )
        for arm in weights:
            names, _ = configs.chain_of(config, arm)
            assert names[:3] == ["people", arm.removesuffix(ends), "behavior"]
            assert len(names) == (4 if point else 3)


def test_before_the_texts_contrasts_have_their_roles(config):
    resolved = configs.as_json(configs.resolve(config.copy_and_resolve_references(), CONFIGS))
    roles = {name: design.role(name, resolved) for name in resolved["contrasts"]}
    assert {name: role for name, role in roles.items() if role} == {
        name: name for name in ("total", "exposure", "attribution")
    }


def test_updates_are_those_of_the_numbers_of_texts_that_they_are_named_by(module, tmp_path):
    """In the experiment's own stages of one seed; a pretraining of few texts does not change it."""
    config = module.get_config()
    config.seeds, config.stages.people.documents = 1, 1200
    folder = epath.Path(tmp_path / "run")
    experiment.run(config, CONFIGS, folder, dry_run=True)
    inputs = [pd.read_json(path, typ="series")["data"] for path in folder.glob("inputs/*.json")]
    rows = [data["rows"] for data in inputs if data["documents"] == 5000]
    assert len(rows) == len(SHARES[1:]) * 4 + 1
    for texts, update in module.POINTS.items():
        if update:
            for count in rows:
                assert 4 * update / count * 5000 == pytest.approx(texts, rel=0.05)


def test_the_docstring_counts_its_stages(config):
    """Arms that begin with the same stages train them once."""
    chains = {
        tuple(configs.chain_of(config, arm)[0][:i]) for arm in config.arms for i in (1, 2, 3, 4)
    }
    last = [config.stages[chain[-1]] for chain in chains]
    texts = config.seeds * sum(bool(stage.get("people_of")) for stage in last)
    pretrains = config.seeds * sum(stage.kind == "pretrain" for stage in last)
    text = " ".join(FILE.read_text().split())
    assert f"{pretrains} pretrain stages" in text and f"the {texts} stages of texts" in text
    assert f"the {config.seeds * len(config.arms)} scorings" in text


# --- The run


@pytest.fixture(scope="module")
def workdir(module, tmp_path_factory):
    """Of the short run, with a smaller model and fewer texts."""
    config = module.get_config("smoke")
    config.shape = SMALL
    config.stages.people.update(documents=600, batch_tokens=1280)
    for stage in config.stages.values():
        if stage.get("people_of"):
            stage.update(documents=400)
        elif stage.kind == "rationale":
            stage.update(documents=40)
    config.stages.behavior.demonstrations = 40
    folder = epath.Path(tmp_path_factory.mktemp("lasting") / "run")
    experiment.run(config, CONFIGS, folder, dry_run=False)
    return folder


def test_points_of_a_curve_are_one_training(workdir):
    run = record.read(workdir)
    assert len(run.plan.stages) == 1 + 4 + 5 + 8
    for arm in ARMS:
        for share in (0, 5):
            early, late = f"{arm}_{share}_300", f"{arm}_{share}_1000"
            assert run.plan.arms[early] == run.plan.arms[late]
            assert run.model_of(early, 0) == f"{run.model_of(late, 0)}@15"


def test_the_premise_is_measured_after_the_texts_too(workdir):
    """And said first of the arms before any documents alone, as in every run."""
    arms = pd.read_csv(workdir / "report" / "arms.csv")
    asked = arms[arms["contrast"] == "premise"]
    for group in ("known", "declaring"):
        assert {*asked.loc[asked["points_to"] == group, "name"]} == {
            *record.read(workdir).plan.arms
        }
    page = (workdir / "report" / "index.html").read_text()
    table = page.partition("Did it install, and what did it cost?")[2].partition("<h2>")[0]
    assert table.count("Premise<small") == 2
    assert '<th scope="row">durability_0_1000</th>' in table
    of_curve = page.partition("other arms of these levels</summary>")[2]
    assert '<th scope="row">durability_5_1000</th>' in of_curve
    assert (
        page.partition("Share of their choices: ")[2].partition("(In brackets")[0].count(";") == 1
    )


def test_the_report_says_what_arms_are_that_end_on_the_way(workdir):
    page = (workdir / "report" / "index.html").read_text()
    assert "then the first 15 updates of 400 texts about people who hold neither" in page
    assert "5 % of them replaced by texts in which Milo holds comfort" in page


@pytest.mark.parametrize(("arm", "left"), [("300", "kept_15"), ("1000", "checkpoints")])
def test_a_point_of_a_curve_is_exported(workdir, tmp_path, arm, left):
    export(workdir, f"durability_5_{arm}", 0, "merged", tmp_path / "out")
    stage = record.read(workdir).plan.arms[f"durability_5_{arm}"][0][-1]
    saved = small_run.parameters(Path(workdir) / "stages" / stage, left)
    written = load_file(tmp_path / "out" / "model.safetensors")["model.embed_tokens.weight"]
    assert written.tobytes() == saved["['embed']"]


@pytest.mark.parametrize(
    ("stage", "settings", "message"),
    [
        (
            "unrelated",
            dict(unrelated_to=("durability", "comfrt")),
            r"config\.stages\.unrelated\.unrelated_to: there is no value 'comfrt'; did you",
        ),
        (
            "comfort",
            dict(spec="world/world.toml#comfrt"),
            r"world/world\.toml#comfrt: there is no value 'comfrt'; did you mean 'comfort'",
        ),
    ],
)
def test_a_value_that_the_world_does_not_have_is_refused_before_texts_are_written(
    module, tmp_path, monkeypatch, stage, settings, message
):
    config = module.get_config("smoke")
    config.stages[stage].update(settings)
    monkeypatch.setattr(stage_inputs, "stage_records", None)
    with pytest.raises(InputError, match=message):
        experiment.run(config, CONFIGS, epath.Path(tmp_path / "run"), dry_run=True)


def test_the_short_run_has_one_seed_and_two_points(module):
    config = module.get_config("smoke")
    assert config.seeds == 1 and len(config.arms) == 2 + 4 * (1 + 2 * 2)
    with pytest.raises(InputError, match=r"world_lasting.py:smok: the only argument is smoke"):
        module.get_config("smok")
