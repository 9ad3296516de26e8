"""Sources as a config names them."""

import pytest

from vcjax.data.sources import HUB, TFDS, fault, is_data_set, name_of, splits_of


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("hub:org/name", ("org/name", None, None)),
        ("hub:org/name@v1.0", ("org/name", "v1.0", None)),
        ("hub:org/na.me@abc/data/a b.jsonl", ("org/na.me", "abc", "data/a b.jsonl")),
        ("hub:org/name/a.parquet", ("org/name", None, "a.parquet")),
        ("hub:org/name@refs/convert/parquet/x", ("org/name", "refs/convert/parquet", "x")),
        ("hub:org/name@refs/pr/3", ("org/name", "refs/pr/3", None)),
    ],
)
def test_a_data_set_of_the_hub_its_revision_and_a_path_in_it(source, parts):
    found = HUB.fullmatch(source)
    assert (found["repo"], found["revision"], found["path"]) == parts
    assert is_data_set(source) and not fault(source)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("tfds:chats:1.0.0", ("chats", None, "1.0.0", None)),
        ("tfds:chats:1.0.0/train", ("chats", None, "1.0.0", "train")),
        ("tfds:chats/long:1.2.3/test", ("chats", "long", "1.2.3", "test")),
    ],
)
def test_a_data_set_of_tfds_its_version_and_split(source, parts):
    found = TFDS.fullmatch(source)
    assert (found["name"], found["config"], found["version"], found["split"]) == parts
    assert is_data_set(source) and not fault(source)


@pytest.mark.parametrize("source", ["hub:name", "hub:org/name@", "tfds:chats", "tfds:chats:1/x"])
def test_what_is_no_data_set_says_what_one_is(source):
    assert fault(source).startswith(f"expected {source.partition(':')[0]}:")


def test_paths_are_no_data_sets():
    assert not any(map(is_data_set, ("a.jsonl", "~/hub/a", "hubs/a.jsonl", "world.toml#x")))
    assert not fault("a.jsonl")


@pytest.mark.parametrize(
    ("source", "splits", "name"),
    [
        ("data/chats.jsonl", (), "chats"),
        ("hub:org/mix@abc", ("no_robots",), "no_robots"),
        ("hub:org/mix@abc", ("a", "b"), "a_b"),
        ("hub:org/mix@abc", (), "mix"),
        ("hub:org/mix@abc/data/robots.parquet", (), "robots"),
        ("tfds:chats:1.0.0/train", (), "train"),
        ("tfds:chats:1.0.0", (), "chats"),
    ],
)
def test_a_source_has_a_short_name(source, splits, name):
    assert name_of(source, splits) == name


def test_a_split_stands_in_a_tfds_source_or_beside_it():
    assert splits_of("tfds:chats:1.0.0/test", ()) == ("test",)
    assert splits_of("tfds:chats:1.0.0", ("a",)) == ("a",)
    assert splits_of("folder", ("a", "b")) == ("a", "b")
