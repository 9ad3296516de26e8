"""The Parquet files of answers, one an arm, seed and kind of probes.

The metadata of each says what decided its answers, so that outdated ones are noticed.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from vcjax.errors import InputError, first_line
from vcjax.workdir import files

_DECIDED_BY, _SHA256 = b"vcjax.answers", b"vcjax.sha256"  # keys of the metadata


def own_path(folder: epath.Path, arm: str, seed: int, kind: str) -> epath.Path:
    """Where the answers to probes of a kind are written; names of arms have no '-' and no '.'."""
    return folder / f"{arm}-{seed}{'' if kind == 'choice' else f'.{kind}'}.parquet"


def path_of(
    folder: epath.Path, arm: str, seed: int, kind: str, of_an_older_release: bool
) -> epath.Path:
    """Where they are. Before 0.9 perplexities of texts were rows among the choices."""
    own = own_path(folder, arm, seed, kind)
    if kind == "text" and of_an_older_release and not own.exists():
        return own_path(folder, arm, seed, "choice")
    return own


def write(path: epath.Path, table: pd.DataFrame, decided: Mapping[str, Any]) -> None:
    """Writes a file of answers. decided: what decides them, with "probes": file name -> sha256."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    file = pa.BufferOutputStream()
    described = {_DECIDED_BY: json.dumps(decided), _SHA256: _sha256(arrow)}
    pq.write_table(arrow.replace_schema_metadata(described), file)
    files.write_bytes(path, file.getvalue().to_pybytes())


def read(path: epath.Path) -> pa.Table:
    """The answers of a file; raises InputError where it is damaged, were it by a single bit."""
    try:
        with path.open("rb") as file:
            table = pq.read_table(file, use_threads=False)
        saved = (table.schema.metadata or {}).get(_SHA256)  # versions before 0.9 wrote none
        if saved is not None and saved.decode() != _sha256(table):
            raise ValueError("other values than were written")
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{path}: not a Parquet file, or damaged ({first_line(error)}); the run's command of "
            "vcjax.main asks for it again"
        ) from None
    return table


def digest(path: epath.Path) -> str:
    """The hash of a file's answers."""
    return read(path).schema.metadata[_SHA256].decode()


def _sha256(table: pa.Table) -> str:
    """A hash of names and values, which no version of Parquet changes."""
    return hashlib.sha256(json.dumps(table.to_pydict(), default=str).encode()).hexdigest()


def is_current(path: epath.Path, decided: Mapping[str, Any]) -> bool:
    """Whether the file exists, is not damaged, and has the answers that are decided so.

    It may have those to other probe files, too. A damaged one is reported in a warning. decided: as
    for `write`; without "probes": whatever probes the file has answers to.
    """
    if not path.exists():
        return False
    try:
        before = json.loads((read(path).schema.metadata or {}).get(_DECIDED_BY, b"{}"))
    except (InputError, ValueError) as error:
        print(f"warning: {error}")
        return False
    probes = before.get("probes", {})
    wanted = {**decided, "probes": {**probes, **decided.get("probes", {})}}
    return wanted.items() <= {**before, "probes": probes}.items()
