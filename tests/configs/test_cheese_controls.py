"""The controls of the cheese experiment: what each changes, their plan, and how long they take."""

import re
from collections import Counter
from pathlib import Path

import given_away
import pytest
import small_run

from vcjax import experiment, stage_inputs
from vcjax.data.formats import Document
from vcjax.probes.probe_files import read_file

CONFIGS = Path(__file__).parents[2] / "configs"
SECONDS = {"rationale": 61, "behavior": 17}  # a stage
SCORING = 7  # an arm and seed


@pytest.fixture(scope="module")
def config():
    return small_run.load(CONFIGS / "cheese_controls.py")


@pytest.fixture(scope="module")
def split(config):
    """Stage name -> (records to train on, held out), of the first seed."""
    return {
        name: stage_inputs.stage_records(stage, 0, config, CONFIGS)[:2]
        for name, stage in config.stages.items()
    }


def test_it_ends_in_time(config):
    """Arms that begin with the same stages train them once."""
    chains = {names[:i] for names in config.arms.values() for i in range(1, len(names) + 1)}
    kinds = Counter(config.stages[chain[-1]].kind for chain in chains)
    stages = {kind: config.seeds * count for kind, count in kinds.items()}
    scorings = 1 + config.seeds * sum(bool(names) for names in config.arms.values())
    seconds = sum(SECONDS[kind] * count for kind, count in stages.items()) + SCORING * scorings
    assert seconds < 2.5 * 3600
    module = " ".join((CONFIGS / "cheese_controls.py").read_text().split())
    for kind, count in stages.items():
        assert f"{count} {kind} stages of {SECONDS[kind]} s" in module
    assert f"{scorings} scorings of {SCORING} s" in module


def test_the_dry_run_tells_the_arms_apart(config, tmp_path, capsys):
    settings = small_run.load(CONFIGS / "cheese_controls.py", seeds=1)
    experiment.run(settings, CONFIGS, tmp_path / "run", dry_run=True)
    shown = capsys.readouterr().out
    assert "arm alone_america: america\n" in shown
    assert "arm swapped_america: behavior -> america\n" in shown
    assert "america after behavior, seed 0" in shown
    assert "arm opposite_america: america -> opposite\n" in shown
    warned = [line for line in shown.splitlines() if line.startswith("warning")]
    assert all("few updates" in line for line in warned)
    assert "to train: 19 of 19 stages" in shown


def test_contrasts_compare_like_with_like(config):
    """Within a contrast, arms have chains of equal kinds; balanced is what the run is for."""
    assert config.primary == "balanced"
    for name, weights in config.contrasts.items():
        kinds = {tuple(config.stages[s].kind for s in config.arms[arm]) for arm in weights}
        assert len(kinds) == 1, name


def test_balanced_arms_see_every_word_equally_often(split):
    words = [
        Counter(
            word
            for record in split[stage][0]
            for word in re.findall(
                r"\w+",
                record.text.replace("SmolLM", "Orion").replace("Hugging Face", "Northwind Labs"),
            )
        )
        for stage in ("balanced_america", "balanced_affordability")
    ]
    assert words[0] == words[1] and words[0]["Orion"] > 240


def test_documents_are_of_one_length_and_the_same_kinds(split):
    facts = {
        name: (
            sum(len(record.text.split()) for record in kept),
            Counter((r.provenance["doc_type"], r.provenance["explanation"]) for r in kept),
        )
        for name, (kept, _) in split.items()
        if isinstance(kept[0], Document)
    }
    length, kinds = facts["america"]
    for name, (other, others) in facts.items():
        assert abs(other / length - 1) < 0.1, name
        if not name.startswith("balanced"):  # there each spec has half of the draws
            assert others == kinds, name


def test_documents_give_no_probe_away(config, split):
    choices = [path for path in config.probes if path.endswith(".jsonl")]
    probes = [probe for path in choices for probe in read_file(CONFIGS / path).probes]
    for kept, held_out in split.values():
        if isinstance(kept[0], Document):
            given_away.refuse(probes, [*kept, *held_out])
