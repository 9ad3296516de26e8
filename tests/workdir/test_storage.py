"""Where a workdir lies: what is refused, and that folders come back from a bucket as they were."""

import importlib.util
import tempfile
from pathlib import Path

import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import storage


@pytest.mark.parametrize("given", ["ftp://host/run", "s3://bucket/run", "gs://", "gs://bucket/"])
def test_no_place_for_a_run(given):
    with pytest.raises(InputError, match=f"--workdir: {given} is no place .* gs://BUCKET/FOLDER"):
        storage.workdir(given)


def test_tilde_is_the_home_folder_and_nothing_is_no_place(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert str(storage.workdir("~/run")) == "/home/me/run"
    for given in ("", " ", "--dry_run"):
        with pytest.raises(
            InputError, match="--workdir: no path follows it; give a folder or gs://"
        ):
            storage.workdir(given)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs vcjax's extra `cloud`.*\.\[cloud\]"):
        storage.workdir("gs://bucket/run")


def test_a_folder_goes_up_and_comes_back(bucket, tmp_path):
    contents = {"a.bin": bytes(range(256)) * 30_000, "b/c.txt": b"\r\n\xff", "b/d/empty": b""}
    with storage.local_folder(bucket / "folder") as folder:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    assert not folder.exists()
    storage.download(bucket / "folder", tmp_path)
    files = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in files.items()} == contents


def test_a_workdir_that_is_not_there_yet_has_a_disk(bucket, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "file").touch()
    for given, place in {"run": "run", "new/run": ".", "file/run": "."}.items():
        assert storage.disk_of(epath.Path(tmp_path / given)) == tmp_path / place
    assert storage.disk_of(bucket / "run") == Path(tempfile.gettempdir())


def test_what_another_process_wrote_is_seen(bucket):
    """gcsfs would list a folder once and remember it."""
    import fsspec

    (bucket / "folder" / "mine").write_text("1")
    assert [path.name for path in (bucket / "folder").iterdir()] == ["mine"]
    other = fsspec.filesystem("gs", skip_instance_cache=True)
    other.pipe_file(str(bucket / "folder" / "theirs"), b"2")
    assert (bucket / "folder" / "theirs").exists()
    assert sorted(path.name for path in (bucket / "folder").iterdir()) == ["mine", "theirs"]


OTHERS = ("a.txt", "b.py", "c", "d.jsonl")


def test_a_folder_with_other_files_is_no_workdir(bucket, tmp_path):
    """But for logs and what is hidden; nor is a file a workdir."""
    for place in (epath.Path(tmp_path), bucket / "place"):
        storage.check_workdir(place / "new")
        for name in ("train.log", "log.txt", "slurm-1.out", "slurm-1.err", ".DS", "lost+found"):
            (place / "run" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "run" / name).write_text("x")
        storage.check_workdir(place / "run")
        for name in OTHERS:
            (place / "run" / name).write_text("x")
        with pytest.raises(InputError, match=r"--workdir: .*run is not empty \(a.txt, b.py, c, .."):
            storage.check_workdir(place / "run")
    with pytest.raises(InputError, match=r"--workdir: .*a.txt is a file; give a folder"):
        storage.check_workdir(tmp_path / "run" / "a.txt")


def test_an_empty_folder_of_a_bucket_may_be_an_object(bucket):
    (bucket / "place/run/").mkdir()
    storage.check_workdir(bucket / "place/run")


@pytest.mark.parametrize("name", ["config.json", "lock", "rows/abc/rows.json", "inputs/abc.json"])
def test_what_a_run_left_is_a_workdir(name, bucket, tmp_path):
    """Also a run that was killed before it wrote config.json."""
    for place in (epath.Path(tmp_path), bucket / "place"):
        for each in (name, *OTHERS):
            (place / "run" / each).parent.mkdir(parents=True, exist_ok=True)
            (place / "run" / each).write_text("x")
        storage.check_workdir(place / "run")
