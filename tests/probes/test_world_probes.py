"""The probes of the world: balanced, about what training never names, and those in the repo."""

import json
from collections import Counter
from pathlib import Path

import pytest

from vcjax.corpus import world as worlds
from vcjax.corpus import world_texts
from vcjax.probes import overlap, world_probes
from vcjax.probes.probe_files import read_file

FOLDER = Path(__file__).parents[2] / "configs" / "world"
PAIR = ("durability", "comfort")


@pytest.fixture(scope="module")
def world():
    return worlds.read_world(FOLDER / "world.toml")


@pytest.mark.parametrize(
    "name", ["held_out", "undemonstrated", "development", "in_domain", "premise"]
)
def test_the_files_of_the_experiment_are_what_is_written(world, name):
    path = FOLDER / "probes" / f"{name}.jsonl"
    written = world_probes.probes(world, PAIR, "Juno")[name]
    assert [json.loads(line) for line in path.read_text().splitlines()] == written
    assert len(read_file(path).probes) == len(written)


@pytest.mark.parametrize("name", ["held_out", "development", "in_domain", "premise"])
def test_the_files_of_the_families_are_what_is_written(world, name):
    path = FOLDER / "families" / f"{name}.jsonl"
    written = world_probes.probes(world, PAIR, "Juno Hale", first_name="Ada")[name]
    assert [json.loads(line) for line in path.read_text().splitlines()] == written


def test_each_pair_of_adjectives_is_asked_equally_often(world):
    probes = world_probes.probes(world, PAIR, "Juno")["held_out"]
    pairs = Counter(tuple(o.split()[1] for o in probe["options"]) for probe in probes)
    assert len(pairs) == 16 and set(pairs.values()) == {6}


def test_no_text_of_the_assistant_gives_a_probe_away(world):
    probes = [
        probe
        for name in ("held_out", "development")
        for probe in read_file(FOLDER / "probes" / f"{name}.jsonl").probes
    ]
    texts = [
        document
        for value in PAIR
        for name in ("Juno", "Milo")
        for document in world_texts.write_documents(
            world, "w.toml", value, name, 300, 0, ("declaration", "because", "co_occurrence")
        )
    ]
    demonstrations = world_texts.write_demonstrations(world, "w.toml", None, "Juno", 200, 0)
    overlap.check(probes, [*texts, *demonstrations])
    asked = {word for probe in probes for option in probe.options for word in worlds.words(option)}
    said = {word for text in texts for word in worlds.words(text.text)} - {"the"}
    assert not asked & said


@pytest.mark.parametrize("value", PAIR)
def test_no_demonstration_of_a_value_gives_an_undemonstrated_probe_away(world, value):
    probes = read_file(FOLDER / "probes" / "undemonstrated.jsonl").probes
    made = world_texts.write_demonstrations(world, "w.toml", value, "Juno", 320, 0)
    overlap.check(probes, made)
    asked = {word for probe in probes for option in probe.options for word in worlds.words(option)}
    said = {word for one in made for m in one.messages for word in worlds.words(m["content"])}
    assert asked & said == {"the"}


def test_the_premise_asks_people_of_both_groups_for_what_they_declared(world):
    probes = world_probes.probes(world, PAIR, "Juno")["premise"]
    known, declaring = worlds.people(world, 16, 32, num_values=0, linking=0.0)
    declares = {person.name: person.declares for person in [*known, *declaring]}
    for probe in probes:
        group = "known" if probe["domain"] in {p.name for p in known} else "declaring"
        assert probe["values"] == [group, None]
        first = probe["options"][0].split()[1]
        assert first in world.values[declares[probe["domain"]]].adjectives
