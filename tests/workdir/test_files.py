"""Small files: whole or not at all."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vcjax.errors import InputError
from vcjax.workdir import files


def test_what_was_written_is_read(tmp_path):
    files.write_json(tmp_path / "a" / "b.json", {"x": [1, "é"]})
    assert files.read_json(tmp_path / "a" / "b.json") == {"x": [1, "é"]}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, 1)
    with pytest.raises(TypeError):
        files.write_json(path, object())
    assert files.read_json(path) == 1


def test_a_missing_file_is_the_default_and_a_broken_one_an_error(tmp_path):
    assert files.read_json(tmp_path / "none.json", default=7) == 7
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"broken\.json: not JSON"):
        files.read_json(tmp_path / "broken.json")


def test_in_a_bucket(bucket):
    path = bucket / "folder" / "facts.json"
    assert files.read_json(path, default={}) == {}
    for value in ({"a": "ä"}, {"b": 2}):
        files.write_json(path, value)
        assert files.read_json(path) == value
    assert [path.name for path in (bucket / "folder").iterdir()] == ["facts.json"]


def test_in_a_bucket_while_it_is_replaced(bucket):
    """By others of another length, as one process of a run reads what another one writes."""
    path, values = bucket / "facts.json", [["a"] * length for length in (1, 2000)]
    files.write_json(path, values[0])
    done = threading.Event()

    def replace():
        for value in itertools.cycle(values):
            if done.is_set():
                return
            files.write_json(path, value)

    with ThreadPoolExecutor(1) as pool:
        replaced = pool.submit(replace)
        try:
            read = [files.read_json(path) for _ in range(300)]
        finally:
            done.set()
        replaced.result()
    assert all(value in values for value in read)
    assert all(value in read for value in values)
