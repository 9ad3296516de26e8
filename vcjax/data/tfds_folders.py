"""Data sets of TFDS, prepared on this machine: read as data sources, without TensorFlow."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vcjax.data.fields import fail
from vcjax.data.folders import choose_splits
from vcjax.data.sources import TFDS, fault
from vcjax.errors import InputError, first_line, hint


def find(source: str) -> Path:
    """The folder of a source's version. Raises InputError where it is not here, with the nearest
    name, config or version that is."""
    parts = TFDS.fullmatch(source)
    if parts is None:
        raise InputError(f"{source}: {fault(source)}")
    place = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    for name in filter(None, (parts["name"], parts["config"], parts["version"])):
        if not (place / name).is_dir():
            there = [p.name for p in place.iterdir() if p.name[:1] != "."] if place.is_dir() else []
            raise InputError(
                f"{source}: {place} has no {name!r}; {hint(name, there)}; TFDS_DATA_DIR names the "
                "folder of prepared data sets"
            )
        place /= name
    return place


def read(folder: Path, splits: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) of each item: "FOLDER:train item 2", counted from 0, and plain values."""
    try:
        builder = tfds.builder_from_directory(folder)
        names = choose_splits(folder, [*builder.info.splits], splits)
        sources = {name: builder.as_data_source(name) for name in names}
    except NotImplementedError:  # a format without random access, as TFRecord
        fail(
            str(folder),
            f"its files are {builder.info.file_format.value}, which only TensorFlow reads; prepare "
            "it with file_format='array_record'",
        )
    except (AssertionError, OSError, ValueError, KeyError, TypeError) as error:
        fail(str(folder), f"no data set of TFDS ({first_line(error)}); prepare it again")
    for name, source in sources.items():
        for index in range(len(source)):
            where = f"{folder}:{name} item {index}"
            yield where, _plain(source[index], builder.info.features, where)


def _plain(value: Any, feature: Any, where: str) -> Any:
    """The value as JSON has it; a sequence of dicts is stored by column."""
    if isinstance(feature, tfds.features.FeaturesDict):
        return {name: _plain(value[name], feature[name], where) for name in feature}
    if isinstance(feature, tfds.features.Dataset):
        return [_plain(item, feature.feature, where) for item in value]
    if isinstance(feature, tfds.features.Sequence):
        inner = feature.feature
        if isinstance(inner, tfds.features.FeaturesDict):
            names = [*inner]
            columns = zip(*(value[name] for name in names), strict=True)
            value = [dict(zip(names, item, strict=True)) for item in columns]
        return [_plain(item, inner, where) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return _decoded(value, where)


def _decoded(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_decoded(item, where) for item in value]
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        fail(where, f"byte {error.start + 1} of a text is not UTF-8; write it as UTF-8")
