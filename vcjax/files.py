"""Small files of a workdir: written whole or not at all."""

import json
import os
import time
from pathlib import Path
from typing import Any

from vcjax import processes
from vcjax.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Writes beside it and renames: a reader or a kill never meets half a file.

    Of many processes only the first writes.
    """
    if not processes.is_first():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: Path, default: Any = None) -> Any:
    """The file's value, or `default` where there is no such file; InputError where it is broken."""
    if not path.exists():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); restore it or remove it") from error


def note_time(workdir: Path, what: str, seconds: float) -> None:
    """seconds: of the process that finished it; what a killed one did before is not in it."""
    times = read_json(workdir / "times.json", default={})
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times[what] = {"seconds": round(seconds, 1), "finished": finished}
    write_json(workdir / "times.json", times)
