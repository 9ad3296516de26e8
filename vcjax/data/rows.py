"""Packed rows on disk, written once and read by step.

    folder/
      packed_rows/1.0.0/    the rows as a TFDS data set (ArrayRecord), row i at index i
      documents.jsonl       line i: the record that documents of source i came from, with its
                            provenance and where each of its pieces lies
      rows.json             length, counts, sha256 of the arrays
      checksums.json        of all these files: damaged rows do not count, and are written again

Training reads the data set only; the rest tells a person what was trained on. TensorFlow is not
needed, nothing is downloaded.

ArrayRecord reads local files only, so that each machine copies the data set of rows in a bucket to
the user's cache, in a folder named by the rows' sha256.
"""

import contextlib
import hashlib
import io
import itertools
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import grain
import numpy as np
import pydantic
import tensorflow_datasets as tfds
from etils import epath

from vcjax.data.examples import Records
from vcjax.data.formats import Demonstration, Document
from vcjax.data.packing import Packed, Placement
from vcjax.errors import InputError, first_line
from vcjax.workdir import checksums, disk, storage

READ_AHEAD_BYTES = 256_000_000  # of batches that threads read before they are needed
READ_AHEAD_THREADS = 16

# What a folder of rows that cannot be used says.
WRITTEN_AGAIN = "the run's command of vcjax.main writes it again"
AGAIN = f"remove the folder, and {WRITTEN_AGAIN}"

FIELDS = {
    "tokens": np.int32,
    "targets": np.int32,
    "segment_ids": np.int32,
    "positions": np.int32,
    "loss_weights": np.float32,
}

_SAVED = pydantic.TypeAdapter(
    tuple[list[Placement], dict[str, int | float], list[Document | Demonstration]]
)


def write_rows(folder: epath.PathLike, packed: Packed, records: Records) -> dict[str, Any]:
    """Writes the rows and the records they came from; returns what read_counts will.

    records[i] is the record of the examples whose source is i. The folder must hold no rows yet,
    but for damaged ones, which are replaced.
    """
    folder = epath.Path(folder)
    if exist(folder):
        raise FileExistsError(f"{folder} exists; rows are never written twice")
    with _whole(folder) as unfinished:
        _write_data_set(unfinished, packed)
        _write_documents(unfinished / "documents.jsonl", packed, records)
        counts = {"length": packed.tokens.shape[1], **packed.counts, "sha256": content_hash(packed)}
        text = json.dumps(counts, indent=2) + "\n"
        (unfinished / "rows.json").write_text(text, encoding="utf-8")
        checksums.write(epath.Path(unfinished))
    return counts


def save(file: IO[bytes], packed: Packed, records: Records) -> None:
    """Adds rows and their records to a file, for `load` in the same process."""
    for name in FIELDS:
        np.lib.format.write_array(file, getattr(packed, name), allow_pickle=False)
    file.write(_SAVED.dump_json((packed.placements, packed.counts, list(records))) + b"\n")


def load(file: IO[bytes]) -> tuple[Packed, Records]:
    """The next rows and records that `save` added."""
    arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name in FIELDS}
    placements, counts, records = _SAVED.validate_json(file.readline())
    return Packed(**arrays, placements=placements, counts=counts), records


def exist(folder: epath.PathLike) -> bool:
    """Whether rows were written here; half a write does not count, nor do damaged rows."""
    folder = epath.Path(folder)
    return (folder / "rows.json").exists() and _damage(folder) is None


def read_counts(folder: epath.PathLike) -> dict[str, Any]:
    """length, the counts of `Packed` and sha256; raises InputError where there are no rows."""
    try:
        counts = json.loads((epath.Path(folder) / "rows.json").read_text(encoding="utf-8"))
        if "sha256" not in counts:
            raise ValueError("rows.json lacks its sha256")
        return counts
    except (OSError, ValueError, TypeError) as error:
        _check_exists(epath.Path(folder))
        raise InputError(f"{folder}: no packed rows ({error}); {AGAIN}") from error


def read_records(folder: epath.PathLike) -> list[Document | Demonstration]:
    """The records that the rows came from; raises InputError where they are gone or damaged."""
    folder = epath.Path(folder)
    reason = checksums.damage(folder, only="documents.jsonl")
    try:
        if reason is None:
            return _parse(storage.read_bytes(folder / "documents.jsonl").decode())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        _check_exists(folder)
        reason = str(error)
    raise InputError(f"{folder}: the texts of its rows are gone or damaged ({reason}); {AGAIN}")


def _parse(text: str) -> list[Document | Demonstration]:
    records: list[Document | Demonstration] = []
    for line in text.split("\n")[:-1]:  # splitlines would split at U+2028 within a text
        fields = json.loads(line)
        del fields["pieces"]
        for name in {"messages", "tools"} & fields.keys():
            fields[name] = tuple(fields[name])
        records.append(Document(**fields) if "text" in fields else Demonstration(**fields))
    return records


def read_rows(folder: epath.PathLike, numbers: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """Rows by their numbers, from 0: FIELDS, each [length]. Raises InputError as `batches`."""
    source = _data_source(epath.Path(folder))
    return [source[number] for number in numbers]


def read_places(folder: epath.PathLike) -> dict[int, list[str]]:
    """Row -> the places of the records that its documents are of, in their order."""
    lines = storage.read_bytes(epath.Path(folder) / "documents.jsonl").decode().split("\n")[:-1]
    found = []
    for record in map(json.loads, lines):
        pieces, where = record["pieces"], record["where"]
        where += f", one of {len(pieces)} parts" if len(pieces) > 1 else ""
        found += [(piece["row"], piece["start"], where) for piece in pieces]
    places = defaultdict(list)
    for row, _, where in sorted(found):
        places[row].append(where)
    return places


def batches(
    folder: epath.PathLike,
    rows: int,
    accumulation: int,
    seed: int,
    epochs: int,
    parts: Sequence[int] = (),
) -> grain.MapDataset:
    """The batches of a whole stage by step: element [step] is a dict of FIELDS.

    Each array is [accumulation, rows, length]. Every epoch has its own order, which `seed` decides;
    a batch may reach over an epoch's end. The last one is filled with empty rows (weight 0).
    parts: numbers of rows that come one after another, each in such an order of its own.
    len() is the number of steps.
    """
    source = grain.MapDataset.source(_data_source(epath.Path(folder)))
    ends = [0, *itertools.accumulate(parts or [len(source)])]
    shuffled = [source[start:end].shuffle(seed=seed) for start, end in itertools.pairwise(ends)]
    return (
        grain.MapDataset.concatenate(shuffled)
        .repeat(epochs)
        .batch(rows * accumulation, batch_fn=lambda batch: _stack(batch, accumulation, rows))
    )


def in_order(batches: grain.MapDataset, start: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """The batches from step `start` on, as `batches` returns them, read ahead by threads.

    At most READ_AHEAD_BYTES lie in memory before they are needed, but at least two batches.
    """
    if start == len(batches):
        return iter(())
    size = sum(array.nbytes for array in batches[start].values())
    ahead = max(2, min(READ_AHEAD_BYTES // size, 500))
    options = grain.ReadOptions(min(READ_AHEAD_THREADS, ahead), ahead)
    return iter(batches[start:].to_iter_dataset(options))


def content_hash(packed: Packed) -> str:
    """sha256 over the bytes of the arrays in the order of FIELDS."""
    return _hash(lambda field: getattr(packed, field))


def _hash(array: Callable[[str], np.ndarray]) -> str:
    digest = hashlib.sha256(f"{array('tokens').shape}".encode())
    for field, dtype in FIELDS.items():
        digest.update(array(field).astype(np.dtype(dtype).newbyteorder("<")).tobytes())
    return digest.hexdigest()


class _Info(tfds.core.DatasetInfo):
    """Not looked for in the bucket of TFDS, for which it would leave a folder in TMPDIR."""

    def initialize_from_bucket(self) -> None:
        pass


class PackedRows(tfds.core.GeneratorBasedBuilder):
    """Packed rows as TFDS takes them from a builder."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, packed: Packed, data_dir: Path):
        self._packed = packed
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        length = self._packed.tokens.shape[1]
        return _Info(
            builder=self,
            description="Packed rows of a vcjax stage.",
            features=tfds.features.FeaturesDict(
                {
                    field: tfds.features.Tensor(shape=(length,), dtype=dtype)
                    for field, dtype in FIELDS.items()
                }
            ),
            disable_shuffling=True,  # row i stays at index i, where documents.jsonl points
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        for row in range(len(self._packed.tokens)):
            yield row, {field: getattr(self._packed, field)[row] for field in FIELDS}


@contextlib.contextmanager
def _whole(folder: epath.Path) -> Iterator[Path]:
    """A local folder that becomes this one at the end.

    On a disk it is renamed, so that a folder by this name is always complete. In a bucket it is
    copied, rows.json last: without it the rows are not there yet.
    """
    if not storage.is_local(folder):
        with storage.local_folder(folder, last="rows.json") as unfinished:
            yield unfinished
        return
    unfinished = Path(folder.with_name(f".{folder.name}.unfinished"))
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a write that was killed
    with disk.writing(folder):
        unfinished.mkdir(parents=True)
        try:
            yield unfinished
            if folder.exists():
                print(f"warning: {folder}: {_damage(folder)}; its rows are written again")
                folder.rmtree()
            os.rename(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # a full disk needs its space


def _write_data_set(folder: Path, packed: Packed) -> None:
    tfds.disable_progress_bar()
    builder = PackedRows(packed, folder)
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download that is none
        builder.download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    del builder._packed  # TFDS caches properties of all builders, and so keeps these
    shutil.rmtree(folder / "downloads")  # made empty by TFDS


def _write_documents(path: Path, packed: Packed, records: Records) -> None:
    pieces = defaultdict(list)
    for placement in packed.placements:
        pieces[placement.document].append(
            {"row": placement.row, "start": placement.start, "count": placement.count}
        )
    with path.open("w", encoding="utf-8") as file:
        for source, record in enumerate(records):
            line = vars(record) | {"pieces": pieces[source]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _check_exists(folder: epath.Path) -> None:
    if not folder.exists():
        raise InputError(f"{folder}: this folder of rows is gone; {WRITTEN_AGAIN}")


def _check(folder: epath.Path) -> None:
    damage = _damage(folder)
    if damage:
        raise InputError(f"{folder}: {damage}; {AGAIN}")


def _damage(folder: epath.Path) -> str | None:
    if folder.exists() and not (folder / "rows.json").exists():
        return "its rows are damaged (rows.json is missing)"
    reason = checksums.damage(folder)
    return reason and f"its rows are damaged ({reason})"


def _data_source(folder: epath.Path) -> Any:
    counts = read_counts(folder)
    _check(folder)
    data_set = folder / "packed_rows" / str(PackedRows.VERSION)
    if not storage.is_local(folder):
        data_set = _local_copy(data_set, counts["sha256"])
    return _open(data_set)


def _local_copy(data_set: epath.Path, sha256: str) -> Path:
    """The copy was compared with the hash when it was made, and is there whole or not at all."""
    cache = storage.cache("rows")
    copy = cache / sha256
    if copy.exists():
        return copy
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        unfinished = Path(temporary) / sha256
        storage.download(data_set, unfinished)
        source = _open(unfinished)
        read = [source[row] for row in range(len(source))]
        if _hash(lambda field: np.stack([row[field] for row in read])) != sha256:
            raise InputError(
                f"{data_set.parents[1]}: not the rows that rows.json describes; {AGAIN}"
            )
        try:
            os.rename(unfinished, copy)
        except OSError:
            if not copy.exists():  # else another process of this machine was first
                raise
    return copy


def _open(data_set: Path) -> Any:
    try:
        return tfds.builder_from_directory(data_set).as_data_source("train")
    except (AssertionError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{data_set}: no data set of TFDS ({first_line(error)}); {AGAIN}"
        ) from error


def _stack(batch: Sequence[dict], accumulation: int, rows: int) -> dict[str, np.ndarray]:
    missing = accumulation * rows - len(batch)
    stacked = {}
    for field in FIELDS:
        array = np.stack([row[field] for row in batch])
        array = np.pad(array, ((0, missing), (0, 0)))
        stacked[field] = array.reshape(accumulation, rows, -1)
    return stacked
