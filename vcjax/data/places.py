"""Where the sources of a config lie on this machine."""

from pathlib import Path

from vcjax.data import hub
from vcjax.data.sources import split_source


def locate(source: str, folder: Path, download: bool = True) -> Path:
    """The file or folder that a source names; a data set of the hub is fetched first.

    folder: where relative paths start. Raises InputError where a data set, or a path in it, does
    not exist, and where `download` is False also for one that the hub's cache does not have.
    """
    if source.startswith("hub:"):
        return hub.fetch(source, download)
    if source.startswith("tfds:"):
        from vcjax.data import tfds_folders  # takes seconds

        return tfds_folders.find(source)
    return folder / split_source(source)[0]


def revision(source: str) -> str:
    """The commit of a data set of the hub, "" of other sources."""
    return hub.revision(source) if source.startswith("hub:") else ""
