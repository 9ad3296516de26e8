"""The folders stages/<fingerprint> of a workdir, and the stage.json in each.

It says what was trained, which environments trained it, and whether it is done.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import files, storage

RUNNING, DONE = "running", "done"


def folder(workdir: epath.Path, fingerprint: str) -> epath.Path:
    return workdir / "stages" / fingerprint


def weights(workdir: epath.Path, fingerprint: str, update: int | None = None) -> epath.Path:
    """The folder of the checkpoint that a stage left: at its end, or after an update it keeps."""
    name = "checkpoints" if update is None else f"kept_{update}"
    return folder(workdir, fingerprint) / name


def is_done(workdir: epath.Path, fingerprint: str) -> bool:
    """Whether the stage was trained to its end in this workdir."""
    return read(workdir, fingerprint).get("state") == DONE


def read(workdir: epath.Path, fingerprint: str) -> dict[str, Any]:
    """The content of stage.json; {} where the stage has not begun."""
    content = files.read_json(folder(workdir, fingerprint) / "stage.json", default={})
    return content if isinstance(content, dict) else {}


def write(
    workdir: epath.Path, fingerprint: str, state: str, plan: dict[str, Any], now: dict[str, str]
) -> None:
    """Writes stage.json: the stage's state, its part of the plan, and what trained it.

    now: what `environment.describe` returns. It is added to `trained_by` where it differs from the
    last one there, so that a stage which several versions worked on names all of them.
    """
    trained_by = read(workdir, fingerprint).get("trained_by", [])
    if not trained_by or trained_by[-1] != now:
        trained_by = [*trained_by, now]
    content = {"state": state, "plan": plan, "trained_by": trained_by}
    files.write_json(folder(workdir, fingerprint) / "stage.json", content)


def check_disk(workdir: epath.Path, needed: int, unfinished: Iterable[str]) -> None:
    """Raises InputError where the disk has no room for `needed` bytes.

    unfinished: fingerprints of stages whose files count as free, since training replaces them.
    """
    if not storage.is_local(workdir):
        return
    begun = [Path(folder(workdir, fingerprint)) for fingerprint in unfinished]
    replaced = [path for stage in begun for path in stage.rglob("*") if path.is_file()]
    free = shutil.disk_usage(storage.disk_of(workdir)).free
    free += sum(path.stat().st_size for path in replaced)
    if free < needed:
        raise InputError(
            f"{workdir}: {free / 1e9:.1f} GB are free, the plan needs about {needed / 1e9:.1f} GB; "
            "free some, lower config.keep_checkpoints or give another --workdir"
        )
