"""Sources of texts as a config names them.

    path/to/file.jsonl                          a file or a folder, or a spec
    world.toml#durability                       a value of a world
    hub:organisation/name@revision/path/in/it   a data set of the hub, or a file or folder of it
    tfds:name/config:version/split              a data set of TFDS; most have no configs

Of the last two, what stands after the name, or the version, may be left out.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# The revision as in the hub's own paths (hf://): those of pull requests and conversions hold "/".
HUB = re.compile(
    r"hub:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>refs/(convert|pr)/[\w.-]+|[\w.-]+))?"
    r"(/(?P<path>[^/].*))?"
)
TFDS = re.compile(
    r"tfds:(?P<name>\w+)(/(?P<config>[\w.-]+))?:(?P<version>\d+\.\d+\.\d+)(/(?P<split>[^/]+))?"
)
FORMS = {
    "hub:": (HUB, "hub:organisation/name@revision, perhaps with /path/in/it"),
    "tfds:": (TFDS, "tfds:name:version, perhaps with /split"),
}


OWN = ("file", "spec")  # names of a stage's own texts among its sources


def is_world(source: str) -> bool:
    """Whether it is a world, or a value of one."""
    return split_source(source)[0].endswith(".toml")


def split_source(source: str) -> tuple[str, str | None]:
    """(path, value): of "world.toml#durability" both, of any other source the path and None."""
    path, sign, value = source.rpartition("#")
    return (path, value) if sign and path.endswith(".toml") else (source, None)


def is_data_set(source: str) -> bool:
    """Whether it is a data set of the hub or of TFDS, and no path of this machine."""
    return source.startswith(tuple(FORMS))


def fault(source: str) -> str:
    """Why a source cannot be one: what was expected; "" where it can."""
    for prefix, (form, expected) in FORMS.items():
        if source.startswith(prefix) and not form.fullmatch(source):
            return f"expected {expected}"
    return ""


def splits_of(source: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The splits to read: the one that the source itself names, else those given beside it."""
    data_set = TFDS.fullmatch(source)
    return (data_set["split"],) if data_set and data_set["split"] else given


def name_of(source: str, splits: tuple[str, ...]) -> str:
    """A short name: of the splits, else of the file or of the data set."""
    if splits := splits_of(source, splits):
        return "_".join(splits)
    if data_set := TFDS.fullmatch(source):
        return data_set["name"]
    if data_set := HUB.fullmatch(source):
        return PurePath(data_set["path"] or data_set["repo"]).stem
    return PurePath(source).stem


def sources_of(stage: Mapping[str, Any]) -> dict[str, str]:
    """Key of a stage, as "file" or "mix.no_robots.file" -> where its texts are from. stage: of a
    resolved config, or as JSON."""
    mix = stage.get("mix") or ""
    given = {key: stage.get(key) for key in ("spec", "other_spec", "file")}
    given |= (
        {"mix": mix}
        if isinstance(mix, str)
        else {f"mix.{name}.file": source["file"] for name, source in mix.items()}
    )
    return {key: source for key, source in given.items() if source}
