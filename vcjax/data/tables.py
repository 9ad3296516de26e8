"""A path to data -> its records, each with its place for errors.

A file (.jsonl, .json, .parquet, .arrow) or a folder of Hugging Face `datasets`: what its
`save_to_disk` writes, or data files as they lie on the hub. Nothing in a folder is executed and
nothing is unpickled: Parquet and Arrow are read as plain data, loading scripts not at all.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from vcjax.data.fields import fail
from vcjax.data.json_files import parse_json, read_json_records
from vcjax.errors import InputError
from vcjax.workdir.files import read_json

KINDS = (".jsonl", ".json", ".parquet", ".arrow")
BATCH_ROWS = 1000

# What the names of files say about their split, and files that hold no records, as `datasets` has
# them (data_files.py: SPLIT_KEYWORDS, NON_WORDS_CHARS, FILES_TO_IGNORE).
SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "dev", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
WORD_ENDS = re.compile("[-._ 0-9]+")
NO_RECORDS = {"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")


class Record(NamedTuple):
    """One raw record.

    where: "a.jsonl:3" (lines count from 1, as in editors), "a.json:item 2" or "a.parquet:row 2"
    (from 0, as in Python, pandas and `datasets`). is_row: it is a row of a table, so it has every
    column that the table has; a null there, nested ones too, is a field that is not given and is
    left out of fields.
    """

    where: str
    fields: dict[str, Any]
    is_row: bool


def read_records(path: str | Path) -> Iterator[Record]:
    """Yields the records of a file or a folder in their order.

    Raises InputError where the path holds no records, or more than one thing that could be meant.
    """
    path = Path(path)
    count = 0
    for file in _files_of(path) if path.is_dir() else [path]:
        for record in _records_of(file):
            count += 1
            yield record
    if not count:
        raise InputError(f"{path}: no records; expected at least one")


def _records_of(file: Path) -> Iterator[Record]:
    if file.suffix in (".parquet", ".arrow"):
        yield from _rows(file)
    elif file.suffix in KINDS:
        for where, fields in read_json_records(file):
            yield Record(where, fields, is_row=False)
    else:
        raise InputError(f"{file}: expected a folder or a file that ends in {', '.join(KINDS)}")


def _rows(file: Path) -> Iterator[Record]:
    row = 0
    try:
        for batch in _batches(file):
            columns = batch.schema.names
            if len(set(columns)) < len(columns):
                fail(str(file), f"two columns have the same name, of {', '.join(columns)}")
            for fields in batch.to_pylist():
                where = f"{file}:row {row}"
                yield Record(where, _given(fields, pa.struct(batch.schema), where), is_row=True)
                row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        kind = "Parquet" if file.suffix == ".parquet" else "an Arrow stream"
        fail(str(file), f"cannot be read as {kind} ({reason}); write it again")


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as parquet:
            yield from parquet.iter_batches(BATCH_ROWS)
    else:  # `datasets` writes streams, not Arrow's file format
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            yield from stream


def _given(value: Any, of_type: pa.DataType, where: str) -> Any:
    """The value without nulls in structs, and with JSON decoded.

    A struct has all keys that any row's has; where one is null, the row did not have it. JSON is
    what `datasets` (4.7 and newer) makes of columns whose rows differ in type; a null in it counts.
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


# --- Folders


def _files_of(folder: Path) -> list[Path]:
    if (folder / "dataset_dict.json").is_file():
        splits = {state.parent.name: state.parent for state in sorted(folder.glob("*/state.json"))}
        if "train" not in splits:
            names = ", ".join(map(str, splits.values())) or "none found"
            fail(str(folder), f"none of its splits is train; name one: {names}")
        return _saved_files(splits["train"])
    if (folder / "state.json").is_file():
        return _saved_files(folder)
    return _train_files(folder)


def _saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a folder that `save_to_disk` wrote, in the order of state.json."""
    state = read_json(folder / "state.json")
    try:
        names = [str(file["filename"]) for file in state["_data_files"]]
    except (KeyError, TypeError):
        fail(f"{folder}/state.json", "it lists no _data_files; save the data set again")
    for name in names:
        if Path(name).name != name or Path(name).suffix != ".arrow":
            fail(f"{folder}/state.json", f"it lists {name!r}; expected Arrow files of its folder")
    return [folder / name for name in names]


def _train_files(folder: Path) -> list[Path]:
    """The data files of the train split, of a folder as on the hub: in it or in its data/."""
    places = {place: _data_files(place) for place in (folder, folder / "data")}
    filled = [place for place, files in places.items() if files]
    if not filled:
        _fail_empty(folder)
    if len(filled) > 1:
        fail(str(folder), "data files lie in it and in its data/; name data/ or a file")
    (place,) = filled
    splits = defaultdict(list)
    for file in places[place]:
        splits[_split_of(file)].append(file)
    held_out = all(_split_of_word(name) in ("validation", "test") for name in splits)
    if "train" not in splits and (len(splits) > 1 or held_out):
        names = ", ".join(sorted(filter(None, splits)))
        fail(str(place), f"its splits are {names}, none is train; name one of its files")
    files = splits.get("train") or places[place]
    of_kind = {file.suffix: file.name for file in files}
    if len(of_kind) > 1:
        fail(str(place), f"data of several kinds: {', '.join(of_kind.values())}; name a file")
    return files


def _data_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.glob("[!.]*")
        if file.suffix in KINDS and file.name not in NO_RECORDS and file.is_file()
    )


def _split_of(file: Path) -> str:
    """The split that the file's name says it belongs to, "" where it says none."""
    shard = SHARD.match(file.name)
    return shard[1] if shard else _split_of_word(file.stem)


def _split_of_word(name: str) -> str:
    words = (SPLIT_OF_WORD.get(word) for word in WORD_ENDS.split(name.lower()))
    return next(filter(None, words), "")


def _fail_empty(folder: Path) -> NoReturn:
    script = next((file.name for file in sorted(folder.glob("*.py"))), None)
    if script:
        fail(str(folder), f"it holds only {script}, which is never run; convert it to Parquet")
    expected = f"expected {', '.join(KINDS)} in it or its data/"
    fail(str(folder), f"no data files; {expected}, or name the file")
