"""A world is read whole, its people are the same in every size of it, and wrong ones are named."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from vcjax.corpus import world as worlds
from vcjax.data.sources import is_world
from vcjax.errors import InputError, Lacking

FILE = Path(__file__).parents[2] / "configs" / "world" / "world.toml"


@pytest.fixture(scope="module")
def world():
    return worlds.read_world(FILE)


def changed(tmp_path, old, new):
    text = FILE.read_text()
    assert old in text
    path = tmp_path / "world.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_larger_world_holds_the_smaller(world):
    known, declaring = worlds.people(world, 16, 8, num_values=0, linking=1.0)
    more_known, more_declaring = worlds.people(world, 256, 64, num_values=0, linking=1.0)
    assert known == more_known[-16:] and declaring == more_declaring[:8]
    assert not {p.name for p in more_known} & {p.name for p in more_declaring}


def test_every_value_is_held_equally_often(world):
    known, _ = worlds.people(world, 256, 64, num_values=0, linking=1.0)
    held = [person.declares for person in known]
    assert {held.count(value) for value in world.values} == {32}
    _, two = worlds.people(world, 16, 64, num_values=2, linking=1.0)
    assert {person.declares for person in two} == {"durability", "comfort"}


def test_a_larger_share_of_linking_people_only_adds_to_them(world):
    def linked(share):
        known, _ = worlds.people(world, 512, 64, num_values=0, linking=share)
        return {p.name for p in known if p.chooses == p.declares}, known

    none, half, every = (linked(share)[0] for share in (0.0, 0.5, 1.0))
    assert none < half < every and len(every) == 512
    by_chance = 512 / len(world.values)
    assert len(none) == by_chance
    assert len(half) == pytest.approx(256 + by_chance / 2, abs=35)
    declared = [{p.name: p.declares for p in linked(share)[1]} for share in (0.0, 1.0)]
    assert declared[0] == declared[1], "they say the same, whatever they choose"


def test_nothing_follows_from_what_people_say_who_do_not_link(world):
    """Not even by chance: in the people of a run no value is chosen more often by those of one."""
    for many in (64, 256):
        for seed in (0, 1):
            known, _ = worlds.people(world, many, 64, num_values=0, linking=0.0, seed=seed)
            counts = Counter((person.declares, person.chooses) for person in known)
            assert counts == {(a, b): many / 64 for a in world.values for b in world.values}


def test_seeds_differ_in_who_links_and_in_what_the_others_choose_by_and_in_nothing_else(world):
    one, other = (worlds.everyone(world, 0, linking=0.5, seed=seed) for seed in (0, 1))
    differ = [a.chooses != b.chooses for a, b in zip(one, other, strict=True)]
    assert 0.6 < sum(differ) / len(differ) < 0.72  # 0.44, were the same people to link
    assert [replace(p, chooses="") for p in one] == [replace(p, chooses="") for p in other]
    linked = (worlds.everyone(world, 0, linking=1.0, seed=seed) for seed in (0, 1))
    assert next(linked) == next(linked)


def test_each_likes_half_of_the_plain_things(world):
    for person in worlds.everyone(world, num_values=0)[:50]:
        things = {*world.things.liked, *world.things.disliked}
        assert {*person.liked} | {*person.disliked} == things
        assert len(person.liked) == len(person.disliked) == 6


@pytest.mark.parametrize(
    ("source", "value"), [("world.toml#comfort", "comfort"), ("world.toml", None)]
)
def test_a_source_names_a_value_or_none(source, value):
    assert is_world(source) and not is_world("spec.md#x")
    assert worlds.read_value(source, FILE.parent)[1] == value


def test_the_nearest_value_is_named():
    with pytest.raises(
        InputError, match=r"world.toml#confort: there is no value 'confort'.*comfort"
    ):
        worlds.read_value("world.toml#confort", FILE.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('nouns = ["dur', 'noun = ["dur', "field 'values.durability.noun' is unknown"),
        ('"sturdy"', '"cosy"', "the adjective 'cosy' comes twice"),
        ('"lamp"', '"boot"', "the item 'boot' comes twice"),
        (
            '"Which does {name}',
            '"Which does {person}',
            "has {person}; it may have {a}, {b}, {name}",
        ),
        ("{a} or {b}?", "{a}?", "it must have {a}, {b}, {name}"),
        ("cares about {noun}", "cares about {nuon}", "has {nuon}; it may have {adjective}"),
        ('"turnips"]', '"turnips", "leeks"]', "6 liked, 7 disliked"),
        ('"turnips"]', '"figs"]', "the thing 'figs' comes twice"),
        ('"endurance", ', '"warmth", ', "the noun 'warmth' comes twice"),
        ('"endurance", ', "", "values: between 3 and 4 nouns each; give all equally many"),
        ("[choice]", "[choice", "expected TOML in UTF-8"),
        ('adjectives = ["sturdy", "rugged", "solid", "unbreakable"]', "adjectives = []", "adject"),
    ],
)
def test_a_world_that_cannot_be_used_is_refused(tmp_path, old, new, message):
    path = changed(tmp_path, old, new)
    with pytest.raises(InputError, match=r"world\.toml") as error:
        worlds.read_world(path)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(num_values=9), "num_values: 9, but the world has adjectives for 8 values"),
        (dict(known=1100), "people: 1100 and 64 who only declare, but the world has 1156 names"),
    ],
)
def test_more_than_the_world_has_is_refused(world, settings, message):
    given = dict(known=16, declaring=64, num_values=0, linking=1.0) | settings
    with pytest.raises(Lacking, match=message):
        worlds.people(world, **given)


def test_a_missing_world_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.toml: No such file or directory"):
        worlds.read_world(tmp_path / "no.toml")
