"""Data sets of the hub, as folders of its cache; HF_TOKEN opens gated ones."""

import functools
import glob
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from vcjax.data.sources import HUB, fault
from vcjax.errors import InputError, first_line, hint, nearest

# What is fetched beside a path, for the licence.
DESCRIBING = ["README.md", "LICENSE*", "LICENCE*", "dataset_info*.json"]


class _DataSet(NamedTuple):
    repo: str
    revision: str
    path: str  # in it; "" for all of it


def fetch(source: str, download: bool = True) -> Path:
    """The file or folder that a source names, downloaded where the cache does not have it.

    Raises InputError where there is no such data set, revision or path (with the nearest one), and
    where `download` is False and the cache does not have it.
    """
    repo, given, path = _parse(source)
    folder = _snapshot(repo, _commit(repo, given, download), path, download)
    if not (folder / path).exists():
        names = _names(repo, folder)
        inside = {str(parent) for name in names for parent in Path(name).parents} - {"."}
        raise InputError(f"{source}: there is no {path!r} in it; {hint(path, [*names, *inside])}")
    return folder / path


def revision(source: str) -> str:
    """The commit that a source stands for."""
    repo, given, _ = _parse(source)
    return _commit(repo, given, download=True)


def fault_of(error: Exception, page: str) -> str:
    """Why the hub gave nothing, and what to do. page: "NAME" of a model, "datasets/NAME"."""
    token = "set HF_TOKEN to a token of an account that"
    match error:
        case GatedRepoError():
            return f"it is gated: accept its terms on {constants.ENDPOINT}/{page} and {token} did"
        case RepositoryNotFoundError():
            return f"it is not on the hub, or is private: then {token} may read it"
        case RevisionNotFoundError():
            return "it has no such revision"
    return first_line(error)


def root(place: Path) -> Path | None:
    """The folder of the whole data set, where a place lies in the hub's cache."""
    return next((p for p in (place, *place.parents) if p.parent.name == "snapshots"), None)


def _parse(source: str) -> _DataSet:
    parts = HUB.fullmatch(source)
    if parts is None:
        raise InputError(f"{source}: {fault(source)}")
    return _DataSet(
        parts["repo"], parts["revision"] or constants.DEFAULT_REVISION, parts["path"] or ""
    )


@functools.cache
def _commit(repo: str, revision: str, download: bool) -> str:
    """Found once, so that all of a run reads one commit though a branch moves."""
    return _download(repo, revision, DESCRIBING, download).name


@functools.cache
def _snapshot(repo: str, commit: str, path: str, download: bool) -> Path:
    inside = glob.escape(path)
    patterns = [inside, f"{inside}/*", *DESCRIBING] if path else None
    return _download(repo, commit, patterns, download)


def _download(repo: str, revision: str, patterns: list[str] | None, download: bool) -> Path:
    try:
        folder = huggingface_hub.snapshot_download(
            repo,
            repo_type="dataset",
            revision=revision,
            allow_patterns=patterns,
            local_files_only=not download,
        )
    except Exception as error:  # many types: no network, no such data set or revision, gated
        near = nearest(repo, {*_cached()} - {repo})
        also = f"; did you mean {near!r}, which is there?" if near else ""
        failed = (
            f", and could not be downloaded ({fault_of(error, f'datasets/{repo}')})"
            if download
            else ""
        )
        raise InputError(f"hub:{repo}@{revision}: not in the hub's cache{failed}{also}") from error
    return Path(folder)


def _cached() -> list[str]:
    """The data sets that the cache has something of."""
    folders = Path(constants.HF_HUB_CACHE).glob("datasets--*--*")
    return ["/".join(folder.name.split("--")[1:3]) for folder in folders]


def _names(repo: str, folder: Path) -> list[str]:
    """The files of a data set at the commit of its folder; without a network those of the cache."""
    try:
        return huggingface_hub.list_repo_files(repo, repo_type="dataset", revision=folder.name)
    except Exception:  # as above; it only makes a message better
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
