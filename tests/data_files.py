"""Data files as other people's tools leave them, and what a reader says to a bad one."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vcjax.errors import InputError


def write_lines(path, *records):
    """JSON Lines; bytes go in as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    path.write_bytes(b"\n".join(lines))
    return path


def write_parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(_table(rows), path)
    return path


def write_arrow(path, rows):
    """An Arrow stream, as `datasets` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = _table(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.RecordBatchStreamWriter(sink, table.schema) as out:
        out.write_table(table)
    return path


def _table(rows):
    """Of a table or of records, whose first has all columns."""
    return rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)


def save_to_disk(folder, *shards):
    """The folder that datasets.Dataset.save_to_disk (5.2) leaves; a list of records a shard."""
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, records in zip(names, shards, strict=True):
        write_arrow(folder / name, records)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "34a5f2e3c2b4f0a1",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"citation": "", "features": {}}))
    return folder


def refusal(read, path):
    """The message of the InputError, which must be one line."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message
