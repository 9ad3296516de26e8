"""The sizes and checksums of a folder's files, kept in a file beside them: damage is seen.

    folder/checksums.json    {"path/in/the/folder": {"bytes": 123, "sha256": "..."}, ...}

A file that has been hashed before is not read again while its size and times are the same. Of
objects in a bucket the checksum is the store's own (crc32c), which it verifies at every upload
and download, so that none has to be read to be hashed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import files, hashes, storage

NAME = "checksums.json"
THREADS = 4  # hashing is bound by the disk or, of large files, by one core each

Facts = dict[str, dict[str, Any]]  # path in the folder -> its "bytes" and a checksum


def write(folder: epath.Path, without: str = "") -> None:
    """Describes all files that are in the folder now; without: one that is yet to change."""
    facts = _facts(folder)
    facts.pop(without, None)
    files.write_json(folder / NAME, facts)


def damage(folder: epath.Path, only: str = "") -> str | None:
    """What differs from what was written, in words; None where all is as it was.

    only: the one file to look at. Files that came later are ignored. So is a folder without
    checksums.json, as versions before 0.9 wrote them. Of files that were copied between a disk and
    a bucket, whose checksums are of another kind, the sizes are compared.
    """
    try:
        expected = files.read_json(folder / NAME)
    except InputError:
        return f"{NAME} is damaged"
    if expected is None:
        return None
    if not isinstance(expected, dict) or (only and only not in expected):
        return f"{NAME} is damaged"
    expected = {only: expected[only]} if only else expected
    facts = _facts(folder, expected)
    for name, described in sorted(expected.items()):
        actual = facts.get(name)
        if actual is None:
            return f"{name} is missing"
        if actual["bytes"] != described["bytes"]:
            return f"{name} has {actual['bytes']} bytes of {described['bytes']}"
        if any(actual[kind] != described[kind] for kind in actual.keys() & described.keys()):
            return f"{name} has another content than was written"
    return None


def _facts(folder: epath.Path, expected: Facts | None = None) -> Facts:
    """Of all files but checksums.json, or of the expected ones; only those of the expected size are
    hashed."""
    if not storage.is_local(folder):
        return _object_facts(folder)
    facts: Facts = {}
    to_hash = []
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == NAME or not path.is_file() or (expected is not None and name not in expected):
            continue
        facts[name] = {"bytes": path.stat().st_size}
        if expected is None or expected[name]["bytes"] == facts[name]["bytes"]:
            to_hash.append((name, path))
    with ThreadPoolExecutor(THREADS) as pool:
        digests = pool.map(lambda item: hashes.sha256(item[1]), to_hash)
        for (name, _), digest in zip(to_hash, digests, strict=True):
            facts[name]["sha256"] = digest
    return facts


def _object_facts(folder: epath.Path) -> Facts:
    import fsspec

    prefix = os.fspath(folder).partition("://")[2] + "/"
    found = fsspec.filesystem("gs").find(os.fspath(folder), detail=True)
    return {
        path.removeprefix(prefix): {"bytes": info["size"]}
        | ({"crc32c": info["crc32c"]} if info.get("crc32c") else {})
        for path, info in found.items()
        if path != prefix + NAME
    }
