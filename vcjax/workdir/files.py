"""Small files of a workdir, written whole or not at all."""

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
    """Writes a file whole or not at all, whatever ends the process.

    Another file is written and then renamed; in a bucket each object is written whole anyway. Of
    many processes only the first writes.
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
                unfinished.unlink(missing_ok=True)  # to free its space on a full disk
            raise


def write_text(path: epath.Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: epath.Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: epath.Path, default: Any = None) -> Any:
    """The file's value, or `default` where there is no file; raises InputError for broken JSON."""
    try:
        return json.loads(storage.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return default
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); restore it or remove it") from error


def note_time(workdir: epath.Path, what: str, seconds: float, **figures: float) -> None:
    """Adds an entry to times.json. No result depends on it, so an error is only a warning.

    what: a stage or a file of answers. seconds: the time that the process which finished it spent;
    that of processes which were killed before does not count. figures: other measurements.
    """
    with best_effort(str(workdir / "times.json")):
        times = read_json(workdir / "times.json", default={})
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        times[what] = {"seconds": round(seconds, 1), "finished": finished, **figures}
        write_json(workdir / "times.json", times)
