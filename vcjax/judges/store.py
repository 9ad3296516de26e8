"""Replies of a paid judge, kept in an SQLite file: what was stored is never asked for again.

A reply stands under a hash of all that was sent, so that none is given to another request. Each is
committed when it arrives, so that whatever ends the process loses none.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import storage

NAME = "judgements.sqlite"


class Reply(NamedTuple):
    """What came back. finish: why it ended, as the API says it: "stop", "length" or another."""

    text: str
    finish: str


def place(workdir: epath.Path) -> Path:
    """The file of a run: in its workdir, or of one in a bucket, which cannot hold it, in the user's
    cache."""
    if storage.is_local(workdir):
        return Path(workdir) / NAME
    url = os.fspath(workdir).rstrip("/")
    return storage.cache("judgements") / f"{hashlib.sha256(url.encode()).hexdigest()}.sqlite"


def key(sent: Mapping[str, Any]) -> str:
    """The hash under which a reply stands. sent: all that decides it, as JSON has it."""
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, made where there is none. What SQLite refuses of it is an InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without an isolation level each statement is a transaction of its own, on the disk when
        # it returns.
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _damaged(path, found.splitlines()[-1])
            connection.execute(
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT, finish TEXT)"
            )
            yield connection
    except sqlite3.DatabaseError as error:
        raise _refusal(path, error) from error


def get(connection: sqlite3.Connection, key: str) -> Reply | None:
    row = connection.execute("SELECT text, finish FROM replies WHERE key = ?", (key,)).fetchone()
    return None if row is None else Reply(*row)


def count(connection: sqlite3.Connection) -> int:
    """How many replies the file keeps."""
    [number] = connection.execute("SELECT count(*) FROM replies").fetchone()
    return number


def put(connection: sqlite3.Connection, key: str, reply: Reply) -> None:
    connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, *reply))


def _refusal(path: Path, error: sqlite3.DatabaseError) -> InputError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # higher bits tell kinds of it apart
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    return InputError(
        f"{path}: the judge's replies cannot be kept here ({error}); make room for it and make it "
        "writable, then start the same command again"
    )


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path}: no SQLite file, or damaged ({reason}); restore it, or delete it: its judgements "
        "are then asked for, and paid for, again"
    )
