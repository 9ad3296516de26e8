"""The place of a workdir: a disk of this machine, or a bucket of Google Cloud Storage.

Both are an epath.Path. In a bucket an object is written whole or not at all, but cannot be appended
to, renamed or locked. Files that need this are written to a local folder and copied.
"""

import contextlib
import fnmatch
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from vcjax.errors import InputError

# Where TensorFlow is installed, epath would use its client of buckets; vcjax uses gcsfs alone.
os.environ["EPATH_USE_TF"] = "false"


def workdir(value: str) -> epath.Path:
    """The path that --workdir gives; ~ is the home folder. Raises InputError where there is none,
    it is of a scheme other than gs://, or it cannot be reached."""
    if not value.strip() or value.startswith("--"):  # nothing, or the next flag
        raise InputError("--workdir: no path follows it; give a folder or gs://BUCKET/FOLDER")
    scheme, separator, rest = value.partition("://")
    if not separator:
        return epath.Path(os.path.expanduser(value))
    bucket, _, folder = rest.partition("/")
    if scheme != "gs" or not bucket or not folder.strip("/"):
        raise InputError(
            f"--workdir: {value} is no place for a run; give a folder or gs://BUCKET/FOLDER"
        )
    if importlib.util.find_spec("gcsfs") is None:
        raise InputError(
            f"--workdir: {value} needs vcjax's extra `cloud`: in its checkout, "
            'pip install --editable ".[cloud]"'
        )
    import fsspec

    # Orbax and other machines write, too, so an earlier listing may be outdated.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    path = epath.Path(value)
    try:
        path.exists()
    except Exception as error:  # of many types: no credentials, no network, no permission
        raise InputError(f"--workdir: {value} cannot be read: {error}") from error
    return path


# Where one of these is, a run began. The first things that it writes are the lock (a bucket has it
# no longer when the run ended), rows and their keys.
OF_A_RUN = ("config.json", "lock", "rows", "inputs")
# What else may be there before a run begins: logs of whoever started it, hidden files, and what a
# new disk holds.
BESIDE_A_RUN = ("*.log", "*.out", "*.err", "log.*", "logs", "lost+found", ".*")


def check_workdir(workdir: epath.Path) -> None:
    """Raises InputError where a workdir holds files and no run."""
    names = _names("workdir", workdir)
    if names.isdisjoint(OF_A_RUN):
        beside = (fnmatch.filter(names, pattern) for pattern in BESIDE_A_RUN)
        _refuse("workdir", workdir, names.difference(*beside))


def check_empty(flag: str, folder: Path) -> None:
    """Raises InputError where a folder to write to exists and holds something."""
    _refuse(flag, folder, _names(flag, folder))


def _names(flag: str, folder: epath.Path | Path) -> set[str]:
    """Of what a folder holds, if it exists; read once, since other processes may write there."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise InputError(f"--{flag}: {folder} is a file; give a folder")
    names = {path.name for path in folder.iterdir()}
    # In a bucket an object may stand for an empty folder, which is then listed in itself.
    return names if is_local(folder) else names - {folder.name}


def _refuse(flag: str, folder: epath.Path | Path, names: set[str]) -> None:
    if names:
        shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(f"--{flag}: {folder} is not empty ({shown}); give an empty or new folder")


def is_local(path: os.PathLike) -> bool:
    return "://" not in os.fspath(path)


def absolute(path: os.PathLike) -> epath.Path:
    """The absolute path; one in a bucket is absolute already."""
    return epath.Path(Path(path).absolute() if is_local(path) else path)


@contextlib.contextmanager
def local_folder(folder: epath.Path, last: str = "") -> Iterator[Path]:
    """A local folder to write to: `folder` itself, or one that is copied to its bucket at the end.

    last: as for `upload`.
    """
    if is_local(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        upload(Path(temporary), folder, last)


def disk_of(workdir: epath.Path) -> Path:
    """A folder that is there, on the disk of a workdir that may not be; of a bucket, TMPDIR."""
    if not is_local(workdir):
        return Path(tempfile.gettempdir())
    place = Path(workdir).absolute()
    return next(path for path in (place, *place.parents) if path.is_dir())


def read_bytes(path: epath.Path) -> bytes:
    """The content of a file at one moment.

    Of an object in a bucket epath would read the size and then as many bytes; in between another
    process may have replaced the object.
    """
    if is_local(path):
        return path.read_bytes()
    import fsspec

    return fsspec.filesystem("gs").cat_file(os.fspath(path))


def cache(name: str) -> Path:
    """A folder of the user's cache, which may be deleted whenever no run uses it."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vcjax" / name


def upload(source: Path, target: epath.Path, last: str = "") -> None:
    """Copies all files of a local folder to a bucket, those of the name `last` at the end."""
    import fsspec

    # epath's own copy writes in pieces, and an interrupt would leave a part of the file.
    bucket = fsspec.filesystem("gs")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.name == last):
        bucket.put_file(os.fspath(path), os.fspath(target / path.relative_to(source)))


def download(source: epath.Path, target: Path) -> None:
    """Copies all files of a folder to a local one."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_dir():
            download(path, target / path.name)
        else:
            path.copy(target / path.name)
