"""The Parquet files of answers: one an arm and seed, and in each what decided its answers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import files

_KEY, _SHA256 = b"vcjax.answers", b"vcjax.sha256"  # of the file's metadata


def decided_by(model: str, lead: str, probes: Mapping[str, str]) -> dict[str, Any]:
    """What decides a model's answers. model: as `Record.model_of`; probes: file name -> sha256."""
    return {"model": model, "lead": lead, "probes": dict(probes)}


def write(path: epath.Path, table: pd.DataFrame, decided: Mapping[str, Any]) -> None:
    """decided: what `decided_by` returns of these answers."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    file = pa.BufferOutputStream()
    described = {_KEY: json.dumps(decided), _SHA256: _sha256(arrow)}
    pq.write_table(arrow.replace_schema_metadata(described), file)
    files.write_bytes(path, file.getvalue().to_pybytes())


def read(path: epath.Path) -> pa.Table:
    """The answers; raises InputError where the file is damaged, by a single bit at least."""
    try:
        with path.open("rb") as file:
            table = pq.read_table(file, use_threads=False)
        saved = (table.schema.metadata or {}).get(_SHA256)  # versions before 0.9 wrote none
        if saved is not None and saved.decode() != _sha256(table):
            raise ValueError("other values than were written")
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: not a Parquet file, or damaged ({reason}); the run's command of "
            "vcjax.main scores it again"
        ) from None
    return table


def _sha256(table: pa.Table) -> str:
    """Of names and values, whatever way a version of Parquet writes them."""
    return hashlib.sha256(json.dumps(table.to_pydict(), default=str).encode()).hexdigest()


def is_current(
    path: epath.Path, model: str, lead: str, probes: Mapping[str, str] | None = None
) -> bool:
    """Whether the file is there, whole, and holds the answers that this model gives.

    Of a damaged one a warning says so. model, lead, probes: as `decided_by`; probes None: whichever
    the file answers.
    """
    if not path.exists():
        return False
    try:
        found = json.loads((read(path).schema.metadata or {}).get(_KEY, b"{}"))
    except (InputError, ValueError) as error:
        print(f"warning: {error}")
        return False
    asked = found.get("probes", {}) if probes is None else probes
    return found == decided_by(model, lead, asked)
