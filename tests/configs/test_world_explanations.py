"""The kinds of explanation: matched, known or new to the model, and compared like with like."""

import importlib.util
from collections import Counter
from pathlib import Path

import given_away
import pytest
from etils import epath

from vcjax import config as configs
from vcjax import experiment
from vcjax.corpus import world as worlds
from vcjax.corpus.grammar import SLOT
from vcjax.corpus.stage_records import stage_records
from vcjax.errors import InputError
from vcjax.probes.probe_files import read_file
from vcjax.report import design

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "world_explanations.py"
# A stage, with the texts of a pretraining; and the scoring of an arm and seed.
SECONDS = {"pretrain": 140, "rationale": 1.3, "behavior": 1.0}
WRITING, SCORING = 23, 0.3
NOUN = "{noun}"


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
def world():
    return worlds.read_world(CONFIGS / "world" / "world.toml")


@pytest.fixture(scope="module")
def documents(config):
    """Rationale stage -> its documents, of the first seed."""
    return {
        name: stage_records(stage, 0, config, CONFIGS)[0]
        for name, stage in config.stages.items()
        if stage.kind == "rationale"
    }


def words_of(phrases):
    return {word for phrase in phrases for word in worlds.words(SLOT.sub(" ", phrase))}


# --- The kinds


def test_kinds_are_matched_in_tokens(documents):
    """Those of one kind, whatever it says, for whomever: all documents are of one length."""
    assert len(documents) == 32
    means = [
        sum(len(worlds.words(document.text)) for document in written) / len(written)
        for written in documents.values()
    ]
    assert max(means) < 1.05 * min(means)


def test_each_phrase_names_whom_it_is_about_and_a_value_once_or_never(module, world):
    for kind, texts in module.KINDS.items():
        phrases = world.texts[texts]
        assert len(phrases) == 4
        assert all("{name}" in phrase for phrase in phrases)
        named = {phrase.count(NOUN) for phrase in phrases}
        assert named == ({0} if kind in module.OF_NO_VALUE else {1}), kind


def test_no_kind_has_words_of_its_own(module, world):
    """Else a model whose pretraining leaves it out would meet words that it never saw."""
    words = {kind: words_of(world.texts[texts]) for kind, texts in module.KINDS.items()}
    choices = words_of(world.choice.model_dump().values())
    for left_out in module.LEFT_OUT.values():
        known = choices.union(*(own for kind, own in words.items() if kind not in left_out))
        for kind in left_out:
            assert words[kind] <= known, kind


def test_each_kind_is_left_out_once(module):
    left_out = [kind for kinds in module.LEFT_OUT.values() for kind in kinds]
    assert sorted(left_out) == sorted(module.KINDS)


def test_no_text_of_an_assistant_gives_a_probe_away(config, documents):
    names = ("held_out", "development")
    paths = [CONFIGS / "world" / "probes" / f"{name}.jsonl" for name in names]
    probes = [probe for path in paths for probe in read_file(path).probes]
    demonstrations = stage_records(config.stages.behavior, 0, config, CONFIGS).train
    written = [document for texts in documents.values() for document in texts]
    given_away.refuse(probes, [*written, *demonstrations])
    asked = {word for probe in probes for option in probe.options for word in worlds.words(option)}
    said = {word for document in written for word in worlds.words(document.text)}
    assert asked & said <= {"the"}


# --- The arms


def start_of(config, arm):
    return config.stages[config.arms[arm][0]]


def test_pretrainings_hold_all_kinds_in_equal_shares_but_those_they_leave_out(config, module):
    for name, stage in config.stages.items():
        if stage.kind == "pretrain":
            mixture = stage.mixture.to_dict()
            choices = {kind: mixture.pop(kind) for kind in ("choice", "plain")}
            assert choices == dict(choice=0.5, plain=0.1)
            left_out = module.LEFT_OUT.get(name, ())
            assert (name == "people") == (not left_out)
            known = {texts for kind, texts in module.KINDS.items() if kind not in left_out}
            assert mixture.keys() == known and len({*mixture.values()}) == 1
            assert sum(mixture.values()) == pytest.approx(0.4)


def test_each_kind_is_compared_known_and_new_with_demonstrations_and_without(config, module):
    for kind, texts in module.KINDS.items():
        measures = ("moved", "about")
        if kind not in module.OF_NO_VALUE:
            measures = ("total", "exposure", "attribution")
        for measure in measures:
            for variant in ("", "_new", "_alone", "_new_alone"):
                arms = config.contrasts[f"{measure}_{kind}{variant}"]
                for arm in arms:
                    assert (texts in start_of(config, arm).mixture) == ("_new" not in variant)
                    last = config.stages[config.arms[arm][-1]].kind
                    assert (last == "behavior") == ("_alone" not in variant)
    assert len(config.contrasts) == 4 * (7 * 3 + 2 * 2) == len(config.rules_out)


def test_contrasts_compare_like_with_like(config):
    """Arms of one pretraining, with documents of one kind; beside `moved`, where one has none."""
    assert config.primary == "attribution_because"
    for name, weights in config.contrasts.items():
        chains = [config.arms[arm] for arm in weights]
        explain = [
            [config.stages[s].explanations for s in chain if config.stages[s].kind == "rationale"]
            for chain in chains
        ]
        if name.startswith("moved"):
            [own, none] = sorted(chains, key=len, reverse=True)
            assert none == (own[0], *own[2:]), name
        else:
            assert len({(chain[0], *chain[2:]) for chain in chains}) == 1, name
            assert all(kinds == explain[0] and len(kinds) == 1 for kinds in explain), name


def test_contrasts_have_the_roles_that_they_are_named_by(config):
    resolved = configs.as_json(configs.resolve(config.copy_and_resolve_references(), CONFIGS))
    for name in resolved["contrasts"]:
        measure = name.partition("_")[0]
        has_role = measure in design.ROLES and not name.endswith("_alone")
        assert design.role(name, resolved) == (measure if has_role else None), name


def test_documents_about_two_assistants_differ_in_the_name_alone(documents):
    for name, written in documents.items():
        if not name.startswith("other_"):
            others = [document.text for document in documents[f"other_{name}"]]
            assert [d.text.replace("Juno", "Milo") for d in written] == others, name


# --- The run


def test_no_two_stages_are_one_by_their_documents(documents):
    """The plan refuses those; as where documents of two values name none."""
    assert len({tuple(d.text for d in written) for written in documents.values()}) == 32


def test_the_dry_run_trains_once_what_arms_share(module, tmp_path, capsys):
    config = module.get_config("smoke")
    for name in ("people", "without_b"):
        config.stages[name].update(documents=1200)
    experiment.run(config, CONFIGS, epath.Path(tmp_path / "run"), dry_run=True)
    shown = capsys.readouterr().out
    assert "arm because_comfort: people -> because_comfort -> behavior\n" in shown
    assert "arm other_rule_new_alone: without_b -> other_rule\n" in shown
    assert "arm base_without_b: without_b\n" in shown
    warned = [line for line in shown.splitlines() if line.startswith("warning")]
    assert all("few updates" in line for line in warned)
    assert f"to train: {2 + 12 + 14} of 28 stages" in shown


def test_it_ends_in_time(config):
    """Arms that begin with the same stages train them once."""
    chains = {names[:i] for names in config.arms.values() for i in range(1, len(names) + 1)}
    kinds = Counter(config.stages[chain[-1]].kind for chain in chains)
    stages = {kind: config.seeds * count for kind, count in kinds.items()}
    scorings = config.seeds * len(config.arms)
    seconds = sum(SECONDS[kind] * count for kind, count in stages.items()) + SCORING * scorings
    seconds += WRITING * stages["pretrain"]
    assert seconds < 2.5 * 3600
    text = " ".join(FILE.read_text().split())
    for kind, count in stages.items():
        assert f"{count} {kind} stages of {SECONDS[kind]:g} s" in text
    assert f"{WRITING} s for the texts of each" in text
    assert f"{scorings} scorings of {SCORING} s are {seconds / 3600:.1f} hours" in text


def test_the_short_run_has_one_seed_and_two_kinds(module):
    config = module.get_config("smoke")
    assert config.seeds == 1 and len(config.stages) == 2 + 4 + 2 + 1
    with pytest.raises(InputError, match=r"world_explanations.py:smok: the only argument is smoke"):
        module.get_config("smok")
