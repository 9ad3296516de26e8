"""stages/<fingerprint>/ of a workdir: what was trained there, by what, and whether it is done."""

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


def is_done(workdir: epath.Path, fingerprint: str) -> bool:
    """Whether the stage was trained to its end in this workdir."""
    return read(workdir, fingerprint).get("state") == DONE


def read(workdir: epath.Path, fingerprint: str) -> dict[str, Any]:
    """What `write` left; {} where the stage never began."""
    content = files.read_json(folder(workdir, fingerprint) / "stage.json", default={})
    return content if isinstance(content, dict) else {}


def write(
    workdir: epath.Path, fingerprint: str, state: str, plan: dict[str, Any], now: dict[str, str]
) -> None:
    """Notes the stage's state, its part of the plan, and in `trained_by` what works on it now.

    now: as `environment.describe`. One that differs from the last of `trained_by` is added to it,
    so that a stage which other versions went on with names all of them.
    """
    trained_by = read(workdir, fingerprint).get("trained_by", [])
    if not trained_by or trained_by[-1] != now:
        trained_by = [*trained_by, now]
    content = {"state": state, "plan": plan, "trained_by": trained_by}
    files.write_json(folder(workdir, fingerprint) / "stage.json", content)


def check_disk(workdir: epath.Path, needed: int, unfinished: Iterable[str]) -> None:
    """Raises InputError where `needed` bytes are neither free nor held by unfinished stages.

    unfinished: their fingerprints.
    """
    if not storage.is_local(workdir):
        return
    place = Path(workdir).absolute()
    existing = next(path for path in (place, *place.parents) if path.exists())
    begun = [Path(folder(place, fingerprint)) for fingerprint in unfinished]
    held = [path for stage in begun for path in stage.rglob("*") if path.is_file()]
    free = shutil.disk_usage(existing).free + sum(path.stat().st_size for path in held)
    if free < needed:
        raise InputError(
            f"{workdir}: {free / 1e9:.1f} GB are free, the plan needs about {needed / 1e9:.1f} GB; "
            "free some, lower config.keep_checkpoints or give another --workdir"
        )
