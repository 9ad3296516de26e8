"""Decides which files of a data folder are read.

The folder is one that `save_to_disk` of Hugging Face `datasets` wrote, or it has data files as on
the hub. If files are missing, or if it is unclear which are meant, the folder is refused with their
names. Files of other splits and other files that are not read are listed, so that the user can be
told.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from vcjax.data.fields import fail
from vcjax.errors import hint
from vcjax.workdir.files import read_json

READABLE = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
# Formats and archives that only `datasets` reads; they may hold a part of the training split.
UNREADABLE = (
    *(".csv", ".tsv", ".geoparquet", ".gpq"),
    *(".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".7z", ".tar", ".tgz"),
)

# What the names of files say about their split, as `datasets` has it (data_files.py:
# SPLIT_KEYWORDS, NON_WORDS_CHARS).
SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "dev", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
WORD_ENDS = re.compile("[-._ 0-9]+")
SHARD_OF_SPLIT = re.compile(r"(.+)-\d{5}-of-\d{5}")
SHARD = re.compile(r"(?P<name>.+?)-(?P<number>\d+)-of-(?P<count>\d+)")

# Files that describe the others.
DESCRIBING = re.compile(
    r"(config|state|dataset_info|dataset_infos|dataset_dict)\.json"
    r"|(readme|licen[cs]es?|notice|citation|changelog)(\..*)?"
    r"|.*\.(md|rst|py|ipynb|sh|ya?ml|toml|cfg|ini|log|html|pdf|png|jpe?g|gif|svg|bib)",
    re.IGNORECASE,
)


class Files(NamedTuple):
    """chosen: the files to read, in their order. left_out: others that may hold records."""

    chosen: list[Path]
    left_out: list[Path]


def files_of(folder: Path, splits: Sequence[str] = ()) -> Files:
    """The files of the splits, or where none is named of what `choose_splits` takes.

    Raises InputError where it is unclear which files are meant, or where some are missing.
    """
    present = _possible_records(folder)
    if (folder / "dataset_dict.json").is_file():
        chosen = [file for split in _saved_splits(folder, splits) for file in _saved_files(split)]
    elif (folder / "state.json").is_file():
        if splits:
            fail(str(folder), f"it has no splits, so not {splits[0]!r}; leave splits out")
        chosen = _saved_files(folder)
    else:
        chosen = _data_files(folder, present, splits)
    _check_shards(folder, chosen)
    return Files(chosen, sorted(set(present) - set(chosen)))


def left_out(path: Path) -> list[str]:
    """Files of a data folder that may hold records and are not read, by their names in it; of a
    folder that TFDS wrote its splits."""
    if not path.is_dir():
        return []
    if is_tfds(path):
        known = [split["name"] for split in read_json(path / "dataset_info.json")["splits"]]
        return sorted({*known} - {*choose_splits(path, known)})
    return [str(file.relative_to(path)) for file in files_of(path).left_out]


def is_tfds(folder: Path) -> bool:
    """Whether TFDS wrote the folder."""
    return (folder / "features.json").is_file() and (folder / "dataset_info.json").is_file()


def choose_splits(folder: Path, known: Sequence[str], named: Sequence[str] = ()) -> list[str]:
    """Of the splits of a folder those that are named; else the only one, or `train` where the
    others are there to be held out.

    Raises InputError for a name that is none of them, with the nearest, and where one has to be
    named.
    """
    for name in named:
        if name not in known:
            fail(str(folder), f"it has no split {name!r}; {hint(name, known)}")
    if named:
        return [*dict.fromkeys(named)]
    training = [name for name in known if _split_of_word(name) not in ("validation", "test")]
    if training == ["train"] or (training and len(known) == 1):
        return training
    if not known:
        fail(str(folder), "it has no splits; save the data set again")
    names = ", ".join(known)
    fail(str(folder), f"its splits are {names}; say which are meant, as splits=({known[0]!r},)")


def _possible_records(folder: Path) -> list[Path]:
    """All files below the folder, but for hidden ones and those that only describe it."""
    files = []
    for place, folders, names in os.walk(folder, onerror=_fail_unlisted):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        linked = [name for name in folders if Path(place, name).is_symlink()]  # not walked into
        names = [n for n in names if not n.startswith(".") and not DESCRIBING.fullmatch(n)]
        files += [Path(place, name) for name in names + linked]
    return sorted(files)


def _fail_unlisted(error: OSError) -> NoReturn:
    fail(str(error.filename), f"{error.strerror}; make the folder readable, or name a file")


def _check_shards(folder: Path, files: list[Path]) -> None:
    """Refuses a set of shards that is not whole, or mixed with another one of the same name.

    "train-00002-of-00005.parquet" is shard 2 of 5; a file without such numbers is the one of one.
    """
    # place and name -> how many shards the files say there are -> file -> its number
    sets: dict[tuple[Path, str], dict[int, dict[Path, int]]]
    sets = defaultdict(lambda: defaultdict(dict))
    for file in files:
        shard = SHARD.match(file.name)
        if shard:
            sets[file.parent, shard["name"]][int(shard["count"])][file] = int(shard["number"])
        else:
            sets[file.parent, file.stem][1][file] = 0
    for sets_of_name in sets.values():
        numbers = Counter(number for shards in sets_of_name.values() for number in shards.values())
        if len(sets_of_name) > 1 or max(numbers.values()) > 1:
            names = ", ".join(file.name for shards in sets_of_name.values() for file in shards)
            fail(str(folder), f"two sets of the same shards: {names}; remove what is left over")
        [(count, shards)] = sets_of_name.items()
        first = int(count in numbers)  # some count from 1
        missing = sorted(set(range(first, first + count)) - numbers.keys())
        if missing:
            names = ", ".join(_shard_name(next(iter(shards)).name, number) for number in missing)
            fail(str(folder), f"shards are missing: {names}; restore them, or name a file")


def _shard_name(example: str, number: int) -> str:
    shard = SHARD.match(example)
    assert shard
    start, end = shard.span("number")
    return f"{example[:start]}{number:0{end - start}}{example[end:]}"


# --- Folders that save_to_disk wrote


def _saved_splits(folder: Path, splits: Sequence[str]) -> list[Path]:
    saved = {state.parent.name: state.parent for state in sorted(folder.glob("*/state.json"))}
    return [saved[name] for name in choose_splits(folder, [*saved], splits)]


def _saved_files(folder: Path) -> list[Path]:
    """The Arrow files of a folder that `save_to_disk` wrote, in the order of state.json."""
    state = read_json(folder / "state.json")
    place = f"{folder}/state.json"
    try:
        names = [str(file["filename"]) for file in state["_data_files"]]
        selecting = [key for key in state if key.startswith("_indices") and state[key]]
    except (KeyError, TypeError, AttributeError):
        fail(place, "it lists no _data_files; save the data set again")
    if selecting:  # as `datasets` did before 2.0 for select(), shuffle() and filter()
        fail(
            place,
            f"{selecting[0]} selects some of its rows, which is not read; load the data set with "
            "the version of `datasets` that wrote it and save its flatten_indices()",
        )
    for name in names:
        if Path(name).name != name or Path(name).suffix != ".arrow":
            fail(place, f"it lists {name!r}; expected Arrow files of its folder")
    return [folder / name for name in names]


# --- Folders as on the hub


def _data_files(folder: Path, present: list[Path], splits: Sequence[str]) -> list[Path]:
    """The data files of the splits, in the folder or in its data/."""
    data = [file for file in present if file.suffix.lower() in (*READABLE, *UNREADABLE)]
    places = sorted({file.parent for file in data})
    if not places:
        _fail_empty(folder, present)
    if len(places) > 1 or places[0] not in (folder, folder / "data"):
        names = ", ".join(f"{place.relative_to(folder)}/" for place in places)
        remedy = "name a subfolder or a file, or move them into one folder"
        fail(str(folder), f"its data files lie in {names}; {remedy}")
    (place,) = places
    files = data
    if splits or any(map(_split_of, data)):
        of_split = defaultdict(list)
        for file in data:
            stem = _stem(file)
            for name in {_split_of(file) or stem, *([stem] if splits else [])}:
                of_split[name].append(file)
        chosen = choose_splits(place, sorted(of_split), splits)
        files = [*dict.fromkeys(file for name in chosen for file in of_split[name])]
    _check_readable(place, files)
    return files


def _check_readable(place: Path, files: list[Path]) -> None:
    for file in files:
        if not file.is_file():
            fail(str(file), "a broken link or no file; restore it, or remove it")
    names = ", ".join(file.name for file in files)
    suffixes = {file.suffix.lower().replace(".ndjson", ".jsonl") for file in files}
    if len(suffixes) > 1:
        fail(str(place), f"data of several kinds: {names}; name a file")
    if not suffixes <= set(READABLE):
        fail(str(place), f"{names}: not read; unpack it, or convert it to JSON Lines or Parquet")


def _split_of(file: Path) -> str:
    """The split that the file's name says it belongs to, "" where it says none."""
    shard = SHARD_OF_SPLIT.match(file.name)
    return shard[1] if shard else _split_of_word(file.stem)


def _stem(file: Path) -> str:
    """The file's name without what says which shard it is, and of which kind."""
    shard = SHARD.match(file.name)
    return shard["name"] if shard else file.stem


def _split_of_word(name: str) -> str:
    words = (SPLIT_OF_WORD.get(word) for word in WORD_ENDS.split(name.lower()))
    return next(filter(None, words), "")


def _fail_empty(folder: Path, present: list[Path]) -> NoReturn:
    script = next((file.name for file in sorted(folder.glob("*.py"))), None)
    if script and not present:
        fail(str(folder), f"it holds only {script}, which is never run; convert it to Parquet")
    names = ", ".join(str(file.relative_to(folder)) for file in present[:5]) or "none of them"
    expected = f"expected {', '.join(READABLE)} in it or its data/"
    fail(str(folder), f"no data files; {expected}, it holds {names}; or name the file")
