"""Reads the records of a data file, or of a folder of them, each with its place for errors.

folders.py decides which files of a folder are read. Nothing is executed or unpickled: Parquet and
Arrow are read as plain data, loading scripts not at all.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vcjax.data.fields import fail
from vcjax.data.folders import READABLE, files_of, is_tfds
from vcjax.data.json_files import parse_json, read_json_records
from vcjax.errors import InputError

BATCH_ROWS = 1000


class Record(NamedTuple):
    """One raw record.

    where: "a.jsonl:3" (lines count from 1, as in editors), "a.json:item 2", "a.parquet:row 2" or
    "folder:train item 2" (from 0, as in Python, pandas and `datasets`). fields: of a row of a
    table, which has every column that the table has, without those that are null, nested ones too.
    """

    where: str
    fields: dict[str, Any]


def read_records(path: str | Path, splits: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yields the records of a file or a folder in their order, of a folder those of the splits.

    Raises InputError where the path holds no records, or more than one thing that could be meant.
    """
    path = Path(path)
    count = 0
    for record in _records_in(path, splits):
        count += 1
        yield record
    if not count:
        raise InputError(f"{path}: no records; expected at least one")


def _records_in(path: Path, splits: tuple[str, ...]) -> Iterator[Record]:
    if is_tfds(path):
        from vcjax.data import tfds_folders  # takes seconds

        yield from (Record(*record) for record in tfds_folders.read(path, splits))
    elif path.is_dir():
        for file in files_of(path, splits).chosen:
            yield from _records_of(file)
    elif splits:
        fail(str(path), f"a file has no splits, so not {splits[0]!r}; leave splits out")
    else:
        yield from _records_of(path)


def _records_of(file: Path) -> Iterator[Record]:
    suffix = file.suffix.lower()
    if suffix not in READABLE:
        expected = ", ".join(READABLE)
        raise InputError(f"{file}: expected a folder or a file that ends in {expected}")
    if suffix in (".parquet", ".arrow"):
        yield from _rows(file)
    else:
        for where, fields in read_json_records(file):
            yield Record(where, fields)


def _rows(file: Path) -> Iterator[Record]:
    row = 0
    try:
        for batch in _batches(file):
            _check_type(pa.struct(batch.schema), str(file))
            columns = [_values(batch.column(name), name, file, row) for name in batch.schema.names]
            for values in zip(*columns, strict=True):
                where = f"{file}:row {row}"
                fields = dict(zip(batch.schema.names, values, strict=True))
                yield Record(where, _given(fields, pa.struct(batch.schema), where))
                row += 1
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        kind = "Parquet" if file.suffix.lower() == ".parquet" else "an Arrow stream"
        fail(str(file), f"cannot be read as {kind} ({reason}); write it again")


def _check_type(of_type: pa.DataType, where: str, name: str = "") -> None:
    """Refuses types whose values Python cannot hold without loss. name: of the column."""
    if pa.types.is_union(of_type):
        fail(where, f"column {name!r} is a union of types; give it one type, or write JSON text")
    if pa.types.is_struct(of_type):
        repeated = [n for n, count in Counter(f.name for f in of_type).items() if count > 1]
        if repeated:
            problem = f"two {'fields' if name else 'columns'} have the same name, {repeated[0]!r}"
            fail(where, f"{f'column {name!r}: ' if name else ''}{problem}; rename one")
    for index in range(of_type.num_fields):
        field = of_type.field(index)
        _check_type(field.type, where, f"{name}.{field.name}".lstrip("."))


def _values(column: pa.Array, name: str, file: Path, first_row: int) -> list[Any]:
    """The column as Python values; where one has none, halving finds its row for the message."""
    try:
        return column.to_pylist()
    except (OverflowError, ValueError) as error:  # a date out of range; text that is not UTF-8
        if len(column) == 1:
            reason = " ".join(str(error).split())
            problem = f"column {name!r} has a value that cannot be read ({reason})"
            fail(f"{file}:row {first_row}", f"{problem}; correct it, or drop the column")
        half = len(column) // 2
        _values(column[:half], name, file, first_row)
        return _values(column[half:], name, file, first_row + half)


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    if file.suffix.lower() == ".parquet":
        with pq.ParquetFile(file) as parquet:
            yield from parquet.iter_batches(BATCH_ROWS)
    else:  # `datasets` writes streams, not Arrow's file format
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            yield from stream


def _given(value: Any, of_type: pa.DataType, where: str) -> Any:
    """The value without nulls in structs, and with JSON text decoded.

    A struct has the keys of all rows together; a null says that this row does not have the key.
    `datasets` (4.7 and newer) stores columns of mixed types as JSON text, whose nulls are kept.
    """
    if value is None:
        return None
    if getattr(of_type, "extension_name", "") == "arrow.json":
        return parse_json(value, where)
    if pa.types.is_struct(of_type):
        items = {field.name: _given(value[field.name], field.type, where) for field in of_type}
        return {name: item for name, item in items.items() if item is not None}
    is_list = isinstance(value, list) and not pa.types.is_map(of_type)
    if is_list and not pa.types.is_primitive(of_type.value_type):
        return [_given(item, of_type.value_type, where) for item in value]
    return value
