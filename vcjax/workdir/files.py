"""Small files of a workdir: written whole or not at all."""

import contextlib
import json
import os
import time
from typing import Any

from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import disk, processes, storage
from vcjax.workdir.best_effort import best_effort


def write_bytes(path: epath.Path, content: bytes) -> None:
    """Writes the file whole or not at all, whatever ends the process: beside it, then renamed.

    An object in a bucket is always written whole. Of many processes only the first writes.
    """
    if not processes.is_first():
        return
    if not storage.is_local(path):
        path.write_bytes(content)
        return
    unfinished = path.with_name(f".{path.name}.unfinished")
    with disk.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            os.replace(unfinished, path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)  # a full disk needs its space
            raise


def write_text(path: epath.Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: epath.Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: epath.Path, default: Any = None) -> Any:
    """The file's value, or `default` where there is no such file; InputError: it is no JSON."""
    try:
        return json.loads(storage.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return default
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); restore it or remove it") from error


def note_time(workdir: epath.Path, what: str, seconds: float, **figures: float) -> None:
    """Adds an entry to times.json, which no result depends on: an error is a warning.

    seconds: how long the process that finished it worked on it; the work of processes that were
    killed before is not counted. figures: what else was measured.
    """
    with best_effort(str(workdir / "times.json")):
        times = read_json(workdir / "times.json", default={})
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        times[what] = {"seconds": round(seconds, 1), "finished": finished, **figures}
        write_json(workdir / "times.json", times)
