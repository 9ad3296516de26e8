"""The Parquet files of answers: one an arm and seed, and in each what decided its answers."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import files

_KEY = b"vcjax.answers"  # of the file's metadata


def decided_by(model: str, lead: str, probes: Mapping[str, str]) -> dict[str, Any]:
    """What decides a model's answers. model: as `Record.model_of`; probes: file name -> sha256."""
    return {"model": model, "lead": lead, "probes": dict(probes)}


def write(path: epath.Path, table: pd.DataFrame, decided: Mapping[str, Any]) -> None:
    """decided: what `decided_by` returns of these answers."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    file = pa.BufferOutputStream()
    pq.write_table(arrow.replace_schema_metadata({_KEY: json.dumps(decided)}), file)
    files.write_bytes(path, file.getvalue().to_pybytes())


def read(path: epath.Path) -> pa.Table:
    with _opened(path) as file:
        return file.read()


def is_current(
    path: epath.Path, model: str, lead: str, probes: Mapping[str, str] | None = None
) -> bool:
    """Whether the file is there and holds the answers that this model gives.

    model, lead, probes: as `decided_by`; probes None: whichever the file answers.
    """
    if not path.exists():
        return False
    with _opened(path) as file:
        found = json.loads((file.schema_arrow.metadata or {}).get(_KEY, b"{}"))
    asked = found.get("probes", {}) if probes is None else probes
    return found == decided_by(model, lead, asked)


@contextlib.contextmanager
def _opened(path: epath.Path) -> Iterator[pq.ParquetFile]:
    try:
        with path.open("rb") as file:
            yield pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a Parquet file ({reason}); delete it and start the same command again"
        ) from None
