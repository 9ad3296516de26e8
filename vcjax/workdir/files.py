"""Small files of a workdir: written whole or not at all."""

import json
import os
import time
from typing import Any

from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import processes, storage


def write_bytes(path: epath.Path, content: bytes) -> None:
    """Writes beside it and renames: a reader or a kill never meets half a file.

    In a bucket an object is so by itself. Of many processes only the first writes.
    """
    if not processes.is_first():
        return
    if not storage.is_local(path):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def write_text(path: epath.Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: epath.Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: epath.Path, default: Any = None) -> Any:
    """The file's value, or `default` where there is no such file; InputError where it is broken."""
    try:
        return json.loads(storage.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return default
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); restore it or remove it") from error


def note_time(workdir: epath.Path, what: str, seconds: float, **figures: float) -> None:
    """seconds: of the process that finished it; what a killed one did before is not in it.

    figures: what else was measured.
    """
    times = read_json(workdir / "times.json", default={})
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times[what] = {"seconds": round(seconds, 1), "finished": finished, **figures}
    write_json(workdir / "times.json", times)
