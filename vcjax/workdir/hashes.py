"""sha256 of files, computed once for as long as a file stays as it is.

A hash is stored in the user's cache, with the size and the time of change that the file had.
"""

import hashlib
import json
import time
from pathlib import Path

from vcjax.workdir import storage

SETTLED_SECONDS = (
    2.0  # a file that changed so recently may change again within one tick of its clock
)


def sha256(path: Path) -> str:
    """Of the file's content; of a link, of what it points to."""
    path = path.resolve()
    before = _state(path)
    stored = storage.cache("hashes") / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    try:
        entry = json.loads(stored.read_text(encoding="utf-8"))
        if entry["state"] == before:
            return entry["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # none stored, or not whole
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - before[1] > SETTLED_SECONDS * 1e9 and _state(path) == before:
        _store(stored, {"path": str(path), "state": before, "sha256": digest})
    return digest


def sha256_of_folder(folder: Path) -> str:
    """Over names and contents of all files in a folder and below."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(folder)}\0{sha256(path)}\n" for path in files]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _state(path: Path) -> list[int]:
    """Size (bytes), and the times of the last change of content and of the entry itself (ns)."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _store(stored: Path, entry: dict) -> None:
    """A cache that cannot be written is none, and stops nothing."""
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        unfinished = stored.with_name(f"{stored.name}.{time.time_ns()}")
        unfinished.write_text(json.dumps(entry), encoding="utf-8")
        unfinished.replace(stored)
    except OSError:
        pass
