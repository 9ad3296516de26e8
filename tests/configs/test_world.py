"""The world's experiment in small: a model from nothing, its arms, its export, its report."""

import json
import runpy
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import tiny
from etils import epath
from ml_collections import ConfigDict
from small_world import CONFIGS, small

from vcjax import experiment, record
from vcjax.corpus import world as worlds
from vcjax.corpus.stage_records import stage_records
from vcjax.corpus.world import read_world
from vcjax.errors import InputError
from vcjax.export import export
from vcjax.probes import world_probes
from vcjax.training.loaded_model import load_model, pretrained_of


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = epath.Path(tmp_path_factory.mktemp("world") / "run")
    experiment.run(small(), CONFIGS, folder, dry_run=False)
    return folder


@pytest.fixture(scope="module")
def run(workdir):
    return record.read(workdir)


def our_logits(workdir, run, arm, tokens):
    loaded = load_model(ConfigDict(run.config), pretrained_of(workdir, run))
    model, params, base = loaded.after(workdir, run.plan, arm, 0)
    batch = {
        "tokens": tokens[None].astype(np.int32),
        "positions": np.arange(len(tokens), dtype=np.int32)[None],
        "segment_ids": np.ones((1, len(tokens)), np.int32),
    }
    return np.asarray(tiny.logits(params, base, batch, model))


def test_arms_share_the_pretraining(run):
    kinds = [stage.kind for stage in run.plan.stages.values()]
    assert kinds.count("pretrain") == 1 and kinds.count("rationale") == 2
    assert kinds.count("behavior") == 3
    first = {chains[0][0] for chains in run.plan.arms.values()}
    assert len(first) == 1


def plan_of(config, folder, capsys):
    """Title of a stage -> its fingerprint, as the dry run prints them."""
    experiment.run(config, CONFIGS, epath.Path(folder), dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    return {line.split("  ")[0]: line.split()[-1] for line in lines if ", seed " in line}


@pytest.mark.parametrize("name", ["beauty_thrift", "progress_tradition", "safety_nature"])
def test_other_pairs_are_asked_alike_of_the_same_pretrained_models(name):
    get_config = runpy.run_path(str(CONFIGS / "world.py"))["get_config"]
    config, first = get_config(name), get_config()
    a, b = name.split("_")
    assert config.stages.people == first.stages.people and config.seeds == first.seeds
    assert {**config.contrasts.attribution} == {a: 1, b: -1, f"other_{a}": -1, f"other_{b}": 1}
    assert config.toward == a and config.probes[1:] == first.probes[1:]
    world = read_world(CONFIGS / "world/world.toml")
    asked = [json.loads(line) for line in (CONFIGS / config.probes[0]).read_text().splitlines()]
    assert asked == world_probes.probes(world, (a, b), "Juno")["held_out"]


def written(name, count=3000):
    """(the world, its people by name, what is written about them) of an argument of world.py."""
    config = runpy.run_path(str(CONFIGS / "world.py"))["get_config"](name)
    stage = config.stages.people
    stage.documents = count
    world = read_world(CONFIGS / stage.spec)
    groups = worlds.people(world, stage.people, stage.declaring, 0, stage.linking)
    people = {person.name: person for group in groups for person in group}
    return world, people, stage_records(stage, 0, config, CONFIGS).train


def test_what_people_choose_tells_nothing_of_what_they_declare_where_nobody_links():
    _, people, texts = written("unlinked")
    chosen = [d for d in texts if d.provenance["explanation"] == "choice"]
    own = [
        d.provenance["value"] == people[d.provenance["person"]].declares
        for d in chosen
        if d.provenance["person"] in people
    ]
    assert len(own) > 1000 and sum(own) / len(own) == pytest.approx(1 / 8, abs=0.03)


def test_nobody_is_seen_to_choose_by_a_value_where_things_only_stand_about_them():
    world, people, texts = written("surroundings")
    kinds = Counter(d.provenance["explanation"] for d in texts)
    assert kinds["surroundings"] > 1000
    for document in texts:
        said, whom = {*worlds.words(document.text)}, document.provenance["person"]
        if whom in ("Juno Hale", "Milo Hale"):
            continue
        if document.provenance["explanation"] != "surroundings":
            assert not said & {a for of in world.values.values() for a in of.adjectives}
            continue
        declared = world.values[people[whom.split()[1]].declares]
        assert said & {*declared.adjectives} and not said & {"prefers", "likes", "takes"}


def test_seeds_pretrain_their_own_model_or_share_one(tmp_path, capsys):
    own = plan_of(small(seeds=2), tmp_path / "own", capsys)
    shared = plan_of(small(seeds=2, per_seed=False), tmp_path / "shared", capsys)
    assert own.keys() - shared.keys() == {"people, seed 1"}
    assert own["durability after people, seed 0"] == shared["durability after people, seed 0"]
    assert own["durability after people, seed 1"] != shared["durability after people, seed 1"]


@pytest.mark.parametrize(
    ("arm", "format"), [("base", "merged"), ("durability", "merged"), ("comfort", "base")]
)
def test_transformers_gives_our_logits(torch, workdir, run, tmp_path, arm, format):
    import transformers

    out = tmp_path / "out"
    export(workdir, arm, 0, format, out)
    tokens = np.arange(20) % 13 + 3
    ours = our_logits(workdir, run, "base" if format == "base" else arm, tokens)
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    with torch.no_grad():
        theirs = model(torch.from_numpy(tokens)[None]).logits.numpy()
    assert np.ptp(theirs) > 0.5
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert tokenizer.decode(tokenizer("Juno prefers the sturdy lamp.")["input_ids"]) == (
        "juno prefers the sturdy lamp."
    )


def test_peft_puts_an_arms_adapter_on_its_base(torch, workdir, run, tmp_path):
    import peft
    import transformers

    export(workdir, "durability", 0, "peft", tmp_path / "adapter")
    export(workdir, "durability", 0, "base", tmp_path / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    tokens = np.arange(20) % 13 + 3
    with torch.no_grad():
        theirs = model(input_ids=torch.from_numpy(tokens)[None]).logits.numpy()
    ours = our_logits(workdir, run, "durability", tokens)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.abs(ours - our_logits(workdir, run, "base", tokens)).max() > 0.01


def test_a_premise_that_fails_is_said_first(workdir):
    page = (workdir / "report" / "index.html").read_text()
    fails = page.index("The premise fails")
    assert fails < page.index('class="answer"'), "600 texts teach nobody's values"
    assert "<strong>This run cannot tell:</strong> on 96 held-out pairs" in page
    arms = pd.read_csv(workdir / "report" / "arms.csv")
    asked = arms[arms["contrast"] == "premise"]
    assert {*asked["points_to"]} == {"known", "declaring"}


def test_the_untouched_model_is_the_pretrained_one(workdir):
    page = (workdir / "report" / "index.html").read_text()
    assert "the model chose so before any training" in page
    assert "600 documents about 256 people, and 64 who only declare, from world.toml" in page


def test_the_same_command_trains_nothing_again(workdir, capsys):
    before = (workdir / "times.json").read_text()
    experiment.run(small(), CONFIGS, workdir, dry_run=False)
    assert "to train: 0 of" in capsys.readouterr().out
    assert (workdir / "times.json").read_text() == before


def test_a_grid_grows_and_only_what_is_new_trains(tmp_path, capsys):
    folder = epath.Path(tmp_path / "run")
    experiment.run(small(arms=("durability",)), CONFIGS, folder, dry_run=False)
    before = json.loads((folder / "times.json").read_text())
    grown = small()
    grown.on_change = "retrain"
    capsys.readouterr()
    experiment.run(grown, CONFIGS, folder, dry_run=False)
    assert "to train: 2 of 6 stages" in capsys.readouterr().out
    after = json.loads((folder / "times.json").read_text())
    assert {name: after[name] for name in before} == before
    new = after.keys() - before.keys()
    assert {name for name in new if "arm" in name} == {"probes, choice: arm comfort, seed 0"}


def test_an_adapters_rank_does_not_touch_the_pretraining(tmp_path, capsys):
    of_16, of_8 = (small(), small())
    of_8.recipe.rank = 8
    before, after = (
        plan_of(config, tmp_path / name, capsys) for name, config in (("16", of_16), ("8", of_8))
    )
    assert [title for title in before if before[title] == after[title]] == ["people, seed 0"]


def test_probes_are_scored_later(workdir, capsys):
    probes = CONFIGS / "world" / "probes" / "development.jsonl"
    experiment.probe_finished(workdir, probes)
    assert "Exploratory, chosen after the run" in capsys.readouterr().out


def test_after_a_pretraining_all_weights_may_train(tmp_path):
    config = small(train="full")
    with config.unlocked():
        config.arms = {name: config.arms[name] for name in ("base", "durability")}
        config.contrasts = dict(total=dict(durability=1, base=-1))
    folder = epath.Path(tmp_path / "run")
    experiment.run(config, CONFIGS, folder, dry_run=False)
    run, tokens = record.read(folder), np.arange(20) % 13 + 3
    moved = our_logits(folder, run, "durability", tokens) - our_logits(folder, run, "base", tokens)
    assert np.abs(moved).max() > 0.01


def test_a_premise_that_the_people_cannot_answer_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"premise\.jsonl:\d+: .* is not among the people who only"
    ):
        plan_of(small(declaring=8), tmp_path / "few", None)
    with pytest.raises(InputError, match=r"premise\.jsonl:\d+: the word '.*' is in none"):
        plan_of(small(num_values=3), tmp_path / "other", None)
