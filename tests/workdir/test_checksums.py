"""Any damage of a folder's files is seen, on a disk and in a bucket."""

import json

import pytest

from vcjax.workdir import checksums


def write(folder):
    (folder / "a" / "d").mkdir(parents=True)
    for name in ("a/d/one", "a/two", "three"):
        (folder / name).write_bytes(name.encode() * 10)
    (folder / "empty").write_bytes(b"")
    checksums.write(folder)
    return folder


def flip(path):
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


DAMAGES = {
    "a/d/one is missing": lambda f: (f / "a/d/one").unlink(),
    "a/two has 0 bytes of 50": lambda f: (f / "a/two").write_bytes(b""),
    "empty has 1 bytes of 0": lambda f: (f / "empty").write_bytes(b"x"),
    "three has another content than was written": lambda f: flip(f / "three"),
    "checksums.json is damaged": lambda f: (f / "checksums.json").write_bytes(b"\0" * 9),
}


@pytest.mark.parametrize("expected", DAMAGES)
@pytest.mark.parametrize("place", ["disk", "bucket"])
def test_damage_is_named(expected, place, request, tmp_path):
    folder = write(tmp_path if place == "disk" else request.getfixturevalue("bucket"))
    assert checksums.damage(folder) is None
    DAMAGES[expected](folder)
    assert checksums.damage(folder) == expected
    only = "a/two"
    assert checksums.damage(folder, only) == (
        expected if expected.startswith((only, "checksums")) else None
    )


def test_files_that_came_later_and_folders_of_earlier_versions_are_whole(tmp_path):
    folder = write(tmp_path)
    (folder / "later").write_text("x")
    assert checksums.damage(folder) is None
    (folder / "checksums.json").unlink()
    assert checksums.damage(folder) is None


def test_one_that_is_yet_to_change_is_left_out(tmp_path):
    (tmp_path / "a").write_text("a"), (tmp_path / "b").write_text("b")
    checksums.write(tmp_path, without="a")
    assert json.loads((tmp_path / "checksums.json").read_text()).keys() == {"b"}
    (tmp_path / "a").write_text("other")
    assert checksums.damage(tmp_path) is None


def test_between_a_disk_and_a_bucket_sizes_are_compared(tmp_path, bucket):
    write(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            (bucket / path.relative_to(tmp_path)).write_bytes(path.read_bytes())
    assert checksums.damage(bucket) is None
    (bucket / "three").write_bytes(b"")
    assert checksums.damage(bucket) == "three has 0 bytes of 50"
