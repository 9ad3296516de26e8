"""Where a workdir lies: on a disk of this machine, or in a bucket of Google Cloud Storage.

Both are an epath.Path. In a bucket an object is written whole or not at all, but nothing can be
appended to, renamed or held: what needs that is made in a local folder and copied.
"""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from vcjax.errors import InputError

# Where TensorFlow is installed, epath would take its client of buckets: one is enough.
os.environ["EPATH_USE_TF"] = "false"


def workdir(given: str) -> epath.Path:
    """The value of --workdir; ~ is the home folder. Raises InputError where it is empty, of a
    scheme other than gs://, or not reached."""
    if not given.strip():
        raise InputError("--workdir: it is empty; give a folder or gs://BUCKET/FOLDER")
    scheme, separator, rest = given.partition("://")
    if not separator:
        return epath.Path(os.path.expanduser(given))
    bucket, _, folder = rest.partition("/")
    if scheme != "gs" or not bucket or not folder.strip("/"):
        raise InputError(
            f"--workdir: {given} is no place for a run; give a folder or gs://BUCKET/FOLDER"
        )
    if importlib.util.find_spec("gcsfs") is None:
        raise InputError(
            f"--workdir: {given} needs vcjax's extra `cloud`: in its checkout, "
            'pip install --editable ".[cloud]"'
        )
    import fsspec

    # Orbax and other machines write too: what was listed before says nothing.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    path = epath.Path(given)
    try:
        path.exists()
    except Exception as error:  # the client has many: no credentials, no network, no permission
        raise InputError(f"--workdir: {given} cannot be read: {error}") from error
    return path


def is_local(path: os.PathLike) -> bool:
    return "://" not in os.fspath(path)


def absolute(path: os.PathLike) -> epath.Path:
    """As Path.absolute; in a bucket it is so already."""
    return epath.Path(Path(path).absolute() if is_local(path) else path)


@contextlib.contextmanager
def local_folder(folder: epath.Path, last: str = "") -> Iterator[Path]:
    """A local folder to write to: this one, or one that `upload` copies to it at the end."""
    if is_local(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        upload(Path(temporary), folder, last)


def read_bytes(path: epath.Path) -> bytes:
    """What is there at one moment.

    epath asks a bucket for the size and then for that many bytes, of which another process may
    have written others in between.
    """
    if is_local(path):
        return path.read_bytes()
    import fsspec

    return fsspec.filesystem("gs").cat_file(os.fspath(path))


def cache(name: str) -> Path:
    """A folder of this user's cache, which may be deleted at any time that no run uses it."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vcjax" / name


def upload(source: Path, target: epath.Path, last: str = "") -> None:
    """Copies all files of a local folder to a bucket, the one of the name `last` at the end."""
    import fsspec

    # epath's own copy writes piece by piece, and an interrupt would leave the first of them.
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
