"""Rows come back as they were packed, in an order that the seed and the step decide alone."""

import gc
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref

import grain
import numpy as np
import pytest
import tensorflow_datasets as tfds

from vcjax.data import rows
from vcjax.data.formats import Demonstration, Document
from vcjax.data.packing import Example, pack
from vcjax.errors import InputError

LENGTH = 8


@pytest.fixture(scope="module")
def packed():
    """Twenty-one documents that fill a row each, but for one that fills half of one."""
    examples = [
        Example(list(range(100 * i, 100 * i + LENGTH + 1)), [1.0] * (LENGTH + 1), i)
        for i in range(1, 21)
    ]
    return pack([*examples, Example([1, 2, 3, 4, 5], [1.0, 0.0, 0.3, 1.0, 1.0], 0)], LENGTH)


@pytest.fixture(scope="module")
def records():
    return [
        Document(f"Käse {i}", "cheese", {"value": "america"}, f"a.jsonl:{i}") for i in range(21)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, packed, records):
    folder = tmp_path_factory.mktemp("work") / "rows" / "abc"
    rows.write_rows(folder, packed, records)
    return folder


def first_tokens(batches):
    """Which row stands where: the first token tells."""
    return [token for batch in batches for token in batch["tokens"][..., 0].ravel().tolist()]


@pytest.mark.parametrize("kind", ["documents", "demonstrations"])
def test_rows_that_wait_come_back(packed, records, kind):
    if kind == "demonstrations":
        turn = {"role": "assistant", "content": "Käse", "tool_calls": [{"id": "1"}]}
        records = [Demonstration((turn,), {"id": str(i)}, f"a:{i}") for i in range(21)]
    file = io.BytesIO()
    for _ in range(2):
        rows.save(file, packed, records)
    file.seek(0)
    for _ in range(2):
        again, same = rows.load(file)
        assert same == records
        assert rows.content_hash(again) == rows.content_hash(packed)
        assert (again.placements, again.counts) == (packed.placements, packed.counts)


def test_every_array_comes_back_in_order(folder, packed):
    source = rows.batches(folder, rows=21, accumulation=1, seed=0, epochs=1)
    (batch,) = [source[step] for step in range(len(source))]
    order = [packed.tokens[:, 0].tolist().index(token) for token in first_tokens([batch])]
    for field, dtype in rows.FIELDS.items():
        assert batch[field].dtype == dtype
        assert batch[field].shape == (1, 21, LENGTH)
        np.testing.assert_array_equal(batch[field][0], getattr(packed, field)[order])


def test_a_write_leaves_nothing_beside_the_rows(tmp_path, packed, records, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    rows.write_rows(tmp_path / "rows", packed, records)
    assert not list(temporary.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "rows"}


def test_rows_that_are_written_leave_memory(tmp_path, records):
    """A run may have hundreds of stages."""
    packed = pack([Example([1, 2, 3], [1.0] * 3, 0)], LENGTH)
    tokens = weakref.ref(packed.tokens)
    rows.write_rows(tmp_path / "rows", packed, records[:1])
    del packed
    gc.collect()
    assert tokens() is None


def test_records_come_back(tmp_path):
    messages = ({"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."})
    given = [
        Document("one\u2028two", "cheese", {"value": "america"}, "a.jsonl:1"),
        Demonstration(messages, {"id": "7"}, "b.jsonl:1", ({"name": "look"},)),
    ]
    examples = [Example([1, 2, 3], [1.0] * 3, source) for source in (0, 1)]
    rows.write_rows(tmp_path / "rows", pack(examples, 8), given)
    assert rows.read_records(tmp_path / "rows") == given
    (tmp_path / "rows" / "documents.jsonl").unlink()
    with pytest.raises(InputError, match=r"rows: the texts of its rows are gone or damaged"):
        rows.read_records(tmp_path / "rows")
    shutil.rmtree(tmp_path / "rows")
    for read in (rows.read_records, rows.read_counts):
        with pytest.raises(InputError, match=r"rows: this folder of rows is gone; the run's comm"):
            read(tmp_path / "rows")


def test_row_i_is_record_i_of_the_data_set(folder, packed):
    """Where documents.jsonl points, also for a reader who knows TFDS only."""
    builder = tfds.builder_from_directory(folder / "packed_rows" / "1.0.0")
    source = builder.as_data_source("train")
    tokens = [source[row]["tokens"] for row in range(len(source))]
    np.testing.assert_array_equal(tokens, packed.tokens)


def test_counts_and_hash(folder, packed, records, tmp_path):
    counts = rows.read_counts(folder)
    assert counts == {"length": LENGTH, **packed.counts, "sha256": rows.content_hash(packed)}
    assert rows.write_rows(tmp_path / "again", packed, records) == counts
    packed.loss_weights[0, 0] += 1
    changed = rows.content_hash(packed)
    packed.loss_weights[0, 0] -= 1
    assert changed != counts["sha256"] == rows.content_hash(packed)


def test_documents_are_kept_with_provenance_and_place(folder, packed):
    lines = [json.loads(line) for line in (folder / "documents.jsonl").open(encoding="utf-8")]
    assert len(lines) == 21
    assert lines[5]["text"] == "Käse 5"
    assert lines[5]["provenance"] == {"value": "america"}
    assert lines[5]["where"] == "a.jsonl:5"
    (piece,) = lines[5]["pieces"]
    assert packed.tokens[piece["row"], piece["start"]] == 500
    assert piece["count"] == LENGTH


def test_a_demonstration_and_a_split_document_are_kept(tmp_path):
    messages = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    record = Demonstration(messages, {"source": "mine"}, "b.jsonl:1")
    packed = pack([Example(list(range(12)), [1.0] * 12, 0)], LENGTH)
    rows.write_rows(tmp_path / "rows", packed, [record])
    line = json.loads((tmp_path / "rows" / "documents.jsonl").read_text())
    assert line["messages"] == list(messages)
    assert line["pieces"] == [
        {"row": 0, "start": 0, "count": 8},
        {"row": 1, "start": 0, "count": 3},
    ]


def test_each_epoch_has_every_row_once_in_its_own_order(folder, packed):
    source = rows.batches(folder, rows=3, accumulation=1, seed=5, epochs=3)
    assert len(source) == 21
    epochs = [
        first_tokens(source[step] for step in range(7 * epoch, 7 * epoch + 7)) for epoch in range(3)
    ]
    assert all(sorted(epoch) == sorted(packed.tokens[:, 0].tolist()) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_parts_come_one_after_another_in_each_epoch(folder, packed):
    """Each in an order of its own, which the seed decides; without parts all rows are one."""
    source = rows.batches(folder, rows=3, accumulation=1, seed=5, epochs=2, parts=(9, 12))
    epochs = [first_tokens(source[step] for step in steps) for steps in (range(7), range(7, 14))]
    order = packed.tokens[:, 0].tolist()
    for epoch in epochs:
        assert sorted(epoch[:9]) == sorted(order[:9]) and sorted(epoch[9:]) == sorted(order[9:])
        assert epoch[:9] != order[:9]
    assert epochs[0] != epochs[1]
    whole = grain.MapDataset.range(21).shuffle(seed=5).repeat(2)
    assert first_tokens(rows.batches(folder, 3, 1, 5, 2)) == [order[row] for row in whole]


def test_the_seed_decides_the_order(folder):
    orders = [first_tokens(rows.batches(folder, 3, 1, seed, 1)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_the_last_batch_is_filled_with_empty_rows(folder):
    source = rows.batches(folder, rows=2, accumulation=4, seed=0, epochs=1)
    assert len(source) == 3
    assert {field: array.shape for field, array in source[2].items()} == dict.fromkeys(
        rows.FIELDS, (4, 2, LENGTH)
    )
    filled = source[2]["segment_ids"].any(-1).ravel().tolist()
    assert filled == [True] * 5 + [False] * 3
    assert not source[2]["loss_weights"].reshape(8, LENGTH)[5:].any()


def test_weights_are_conserved_over_epochs(folder, packed):
    source = rows.batches(folder, rows=2, accumulation=2, seed=0, epochs=3)
    total = sum(batch["loss_weights"].astype(np.float64).sum() for batch in source)
    assert total == pytest.approx(3 * packed.counts["weighted_tokens"])


@pytest.mark.parametrize("start", [0, 4, 5, 6, 9])
def test_a_fresh_read_from_a_step_goes_on_alike(folder, start):
    """21 rows in batches of 4: batch 5 reaches over the first epoch's end."""
    read = list(rows.batches(folder, rows=2, accumulation=2, seed=3, epochs=2))
    fresh = rows.batches(folder, rows=2, accumulation=2, seed=3, epochs=2)
    assert len(read) == len(fresh) == 11
    for step in range(start, 11):
        for field in rows.FIELDS:
            np.testing.assert_array_equal(fresh[step][field], read[step][field])


def test_rows_are_never_written_twice(folder, packed, records):
    before = rows.read_counts(folder)
    with pytest.raises(FileExistsError, match="never written twice"):
        rows.write_rows(folder, packed, records)
    assert rows.read_counts(folder) == before


@pytest.mark.parametrize("content", [None, "", "{"])
def test_an_incomplete_folder_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "rows.json").write_text(content)
    with pytest.raises(InputError, match=r"no packed rows .*; remove the folder, and"):
        rows.read_counts(tmp_path)
    with pytest.raises(InputError, match="no packed rows"):
        rows.batches(tmp_path, 1, 1, 0, 1)


WRITER = """
import sys
from vcjax.data import rows
from vcjax.data.formats import Document
from vcjax.data.packing import Example, pack
packed = pack([Example(list(range(129)), [1.0] * 129, i) for i in range(20_000)], 128)
print("ready", flush=True)
rows.write_rows(sys.argv[1], packed, [Document("text", "domain", {}, "x:1")] * 20_000)
"""


def test_a_killed_write_leaves_nothing_that_looks_complete(tmp_path, packed, records):
    folder = tmp_path / "rows" / "abc"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        while not list(tmp_path.rglob("*packed_rows*")):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.rglob("*packed_rows*")), "the kill came in the middle of a write"
    assert not folder.exists()
    rows.write_rows(folder, packed, records)
    assert rows.read_counts(folder)["rows"] == 21
    assert len(rows.batches(folder, 1, 1, 0, 1)) == 21
    assert [path.name for path in folder.parent.iterdir()] == ["abc"]


QUIET = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError(f"network: {arguments}")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from pathlib import Path
from vcjax.data import rows
from vcjax.data.formats import Document
from vcjax.data.packing import Example, pack
folder = Path(sys.argv[1])
rows.write_rows(folder, pack([Example([1, 2, 3], [1.0] * 3, 0)], 4), [Document("t", "d", {}, "x")])
(batch,) = rows.batches(folder, 1, 1, 0, 1)
assert batch["tokens"].tolist() == [[[1, 2, 0, 0]]]
assert "tensorflow" not in sys.modules
assert "torch" not in sys.modules
"""


def test_quiet_without_network_home_or_tensorflow(tmp_path):
    home = tmp_path / "home"
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", QUIET, tmp_path / "rows"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    assert not home.exists()
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == [
        "checksums.json",
        "documents.jsonl",
        "packed_rows",
        "rows.json",
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b""), os.unlink])
@pytest.mark.parametrize("name", ["packed_rows/1.0.0/*.array_record*", "documents.jsonl"])
def test_damaged_rows_are_refused_and_written_again(
    name, damage, packed, records, tmp_path, capsys
):
    folder = tmp_path / "abc"
    rows.write_rows(folder, packed, records)
    [path] = folder.glob(name)
    damage(path)
    assert not rows.exist(folder)
    remedy = rf"{folder}: .*damaged \(.*; remove the folder, and the run's command of"
    with pytest.raises(InputError, match=remedy):
        rows.batches(folder, 1, 1, 0, 1)
    if name == "documents.jsonl":
        with pytest.raises(InputError, match=remedy):
            rows.read_records(folder)
    else:
        assert rows.read_records(folder) == records
    rows.write_rows(folder, packed, records)
    assert "its rows are written again" in capsys.readouterr().out
    assert rows.exist(folder) and len(rows.batches(folder, 1, 1, 0, 1)) == 21


def test_without_rows_json_they_are_written_again(packed, records, tmp_path):
    rows.write_rows(tmp_path / "abc", packed, records)
    (tmp_path / "abc" / "rows.json").write_text("")
    assert not rows.exist(tmp_path / "abc")
    rows.write_rows(tmp_path / "abc", packed, records)
    assert rows.exist(tmp_path / "abc")


@pytest.mark.parametrize("size", [1, 10**6])
def test_reading_ahead_is_bounded_in_bytes(size, folder, monkeypatch):
    """As many batches as fit lie in memory, but two at least; they are those of each step."""
    monkeypatch.setattr(rows, "READ_AHEAD_BYTES", size)
    options = []
    whole = rows.grain.ReadOptions
    monkeypatch.setattr(rows.grain, "ReadOptions", lambda *a: options.append(a) or whole(*a))
    source = rows.batches(folder, rows=2, accumulation=2, seed=3, epochs=2)
    read = list(rows.in_order(source, 4))
    one = sum(array.nbytes for array in source[4].values())
    assert options == [(2, 2) if size == 1 else (16, min(500, size // one))]
    assert len(read) == 7
    for step, batch in enumerate(read, start=4):
        np.testing.assert_array_equal(batch["tokens"], source[step]["tokens"])
    assert list(rows.in_order(source, 11)) == []


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vcjax" / "rows"


def test_rows_in_a_bucket_are_those_on_a_disk(bucket, folder, packed, records, cache):
    assert rows.write_rows(bucket / "abc", packed, records) == rows.read_counts(folder)
    for _ in range(2):  # the second time from the copy
        [source, expected] = (
            rows.batches(f, 3, 1, seed=5, epochs=1) for f in (bucket / "abc", folder)
        )
        assert first_tokens(source) == first_tokens(expected)
    assert [path.name for path in cache.iterdir()] == [rows.content_hash(packed)]
    assert (bucket / "abc" / "documents.jsonl").read_text().count("\n") == 21


def test_an_unfinished_copy_in_a_bucket_is_written_again(bucket, packed, records, cache):
    rows.write_rows(bucket / "abc", packed, records)
    (bucket / "abc" / "rows.json").unlink()
    assert not rows.exist(bucket / "abc")
    rows.write_rows(bucket / "abc", packed, records)
    assert rows.exist(bucket / "abc")


def test_other_rows_than_described_are_refused(bucket, packed, records, cache):
    counts = rows.write_rows(bucket / "abc", packed, records)
    other = json.dumps(counts | {"sha256": "0" * 64}, indent=2) + "\n"
    (bucket / "abc" / "rows.json").write_text(other)
    with pytest.raises(InputError, match=r"not the rows that rows.json describes; remove"):
        rows.batches(bucket / "abc", 1, 1, 0, 1)
    assert list(cache.iterdir()) == []
