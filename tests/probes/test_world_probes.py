"""The probes of the world: balanced, about what training never names, and those in the repo."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import given_away
import pytest

from vcjax.config import pretrain
from vcjax.corpus import world as worlds
from vcjax.corpus import world_texts
from vcjax.errors import InputError
from vcjax.probes import world_probes
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
    given_away.refuse(probes, [*texts, *demonstrations])
    asked = {word for probe in probes for option in probe.options for word in worlds.words(option)}
    said = {word for text in texts for word in worlds.words(text.text)} - {"the"}
    assert not asked & said


@pytest.mark.parametrize("value", PAIR)
def test_no_demonstration_of_a_value_gives_an_undemonstrated_probe_away(world, value):
    probes = read_file(FOLDER / "probes" / "undemonstrated.jsonl").probes
    made = world_texts.write_demonstrations(world, "w.toml", value, "Juno", 320, 0)
    given_away.refuse(probes, made)
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


def test_its_own_probes_of_the_premise_pass_whatever_the_adjectives(world, tmp_path):
    several = {"adjectives": ["long-lasting", "Swedish", "solid", "rugged"]}
    values = world.values | {"durability": world.values["durability"].model_copy(update=several)}
    world = world.model_copy(update={"values": values})
    lines = [json.dumps(probe) for probe in world_probes.probes(world, PAIR, "Juno")["premise"]]
    (tmp_path / "premise.jsonl").write_text("\n".join(lines))
    probes = read_file(tmp_path / "premise.jsonl").probes
    people = pretrain(spec="w.toml", documents=1, people=16, declaring=32, mixture={"choice": 1})
    world_probes.check(probes, world, people, "people")
    people.num_values = 2
    with pytest.raises(InputError, match=r"premise\.jsonl:\d+: in config\.stages\.people"):
        world_probes.check(probes, world, people, "people")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--values=comfort,comfort",), "--values: comfort,comfort; give two of durability"),
        (("--values=comfort,ease",), "--values: comfort,ease; give two of durability"),
        (
            ("--values=comfort,thrift,comfort",),
            "--values: comfort,thrift,comfort; give two",
        ),
        (("--values=comfort,thrift", "--num_values=1"), "--num_values: 1; give 2 to 8, or 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message, tmp_path):
    command = [sys.executable, "-m", "vcjax.probes.world_probes", "--assistant=Juno"]
    command += [f"--world={FOLDER / 'world.toml'}", f"--out={tmp_path / 'out'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and not (tmp_path / "out").exists()
