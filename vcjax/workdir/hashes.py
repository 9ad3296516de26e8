"""sha256 of files, cached until a file changes.

The user's cache holds a hash with the size, the times of change and the inode of its file.
"""

import hashlib
import json
import time
from pathlib import Path

from vcjax.workdir import storage

# A file that changed so recently is not cached: another change could leave its time as it is.
SETTLED_SECONDS = 2.0


def sha256(path: Path) -> str:
    """The hash of a file's content; of a link, that of its target."""
    path = path.resolve()
    before = _state(path)
    cached = storage.cache("hashes") / f"{hashlib.sha256(str(path).encode()).hexdigest()}.json"
    try:
        entry = json.loads(cached.read_text(encoding="utf-8"))
        if entry["state"] == before:
            return entry["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # nothing cached, or a damaged entry
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time_ns() - before[1] > SETTLED_SECONDS * 1e9 and _state(path) == before:
        _store(cached, {"path": str(path), "state": before, "sha256": digest})
    return digest


def sha256_of_folder(folder: Path) -> str:
    """A hash over names and contents of all files in a folder and below.

    What Python compiled there is left out: it appears with the first import.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    parts = [f"{path.relative_to(folder)}\0{sha256(path)}\n" for path in files]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _state(path: Path) -> list[int]:
    """Size (bytes), times of the last change of content and of metadata (ns), and inode."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _store(cached: Path, entry: dict) -> None:
    """Writes an entry of the cache; one that cannot be written is left out."""
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        unfinished = cached.with_name(f"{cached.name}.{time.time_ns()}")
        unfinished.write_text(json.dumps(entry), encoding="utf-8")
        unfinished.replace(cached)
    except OSError:
        pass
