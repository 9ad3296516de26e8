"""A file is read again only where it may have changed."""

import hashlib
import os

import pytest

from vcjax.workdir import hashes

LONG_AGO = 1_600_000_000_000_000_000  # ns


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reads(monkeypatch):
    """The files that are read whole."""
    opened = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashes.hashlib, "file_digest", lambda f, kind: opened.append(f.name) or digest(f, kind)
    )
    return opened


def write(path, text, time=LONG_AGO):
    path.write_text(text)
    os.utime(path, ns=(time, time))
    return path


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_that_stays_is_read_once(tmp_path, reads):
    path = write(tmp_path / "a", "one")
    assert [hashes.sha256(path) for _ in range(3)] == [sha("one")] * 3
    assert len(reads) == 1


def test_a_file_of_the_same_size_and_time_that_was_written_anew_is_read_anew(tmp_path, reads):
    hashes.sha256(write(tmp_path / "a", "one"))
    assert hashes.sha256(write(tmp_path / "a", "two")) == sha("two")
    assert len(reads) == 2


def test_a_hash_of_a_file_that_has_just_changed_is_not_trusted(tmp_path, reads):
    path = tmp_path / "a"
    path.write_text("one")
    assert hashes.sha256(path) == hashes.sha256(path) == sha("one")
    assert len(reads) == 2


def test_a_broken_cache_is_no_cache(tmp_path, reads):
    path = write(tmp_path / "a", "one")
    hashes.sha256(path)
    [stored] = (tmp_path / "cache/vcjax/hashes").iterdir()
    for broken in ("", "[]", "{}", "\0\0"):
        stored.write_text(broken)
        assert hashes.sha256(path) == sha("one")
    stored.unlink()
    stored.mkdir()  # cannot be written
    assert hashes.sha256(path) == sha("one")


def test_a_folder_is_its_names_and_contents(tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    write(folder / "a", "one")
    write(folder / "below/b", "two")
    before = hashes.sha256_of_folder(folder)
    assert hashes.sha256_of_folder(folder) == before
    (folder / "__pycache__").mkdir()
    write(folder / "__pycache__/a.pyc", "compiled")
    assert hashes.sha256_of_folder(folder) == before
    write(folder / "below/b", "three")
    changed = hashes.sha256_of_folder(folder)
    write(folder / "below/b", "two").rename(folder / "below/c")
    assert len({before, changed, hashes.sha256_of_folder(folder)}) == 3
