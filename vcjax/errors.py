"""The exceptions for what a person can put right, and what a mistyped name may stand for."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

MOST_NAMES = 40  # that a hint lists


class InputError(Exception):
    """Something the user gave cannot be used.

    The message says what was wrong, where (file, line, field, config key) and what to do. The
    commands print it on one line and exit with code 2.
    """


class Lacking(InputError):
    """A source has less than a stage asks of it, or none of it. Which stage that is, its caller
    adds."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled much like this one, or is the initials of its words
    (learning_rate: lr).

    Case does not matter. None where no name is near.
    """
    by_spelling = {other.casefold(): other for other in known}
    words = name.casefold().split("_")
    initials = "".join(word[:1] for word in words) if len(words) > 1 else ""
    near = difflib.get_close_matches("_".join(words), by_spelling, n=1, cutoff=0.55)
    return by_spelling.get(near[0] if near else initials)


def hint(name: str, known: Iterable[str], shown: Callable[[str], str] = repr) -> str:
    """The end of a message about an unknown name: the nearest known one, else all of them."""
    known = list(known)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {shown(near)}?"
    if not known:
        return "there are none"
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return f"expected one of {', '.join(known[:MOST_NAMES])}{more}"


def first_line(error: Exception) -> str:
    """What an error of a library says, in one line: its first, or of an empty one its type."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def missing(path: Path) -> str:
    """ "PATH does not exist", and which file of its folder may be meant."""
    beside = path.parent.iterdir() if path.parent.is_dir() else []
    others = [other for other in beside if other.name != path.name]  # as of a broken link
    # Of two with one stem the last counts: the one that ends like the missing file.
    others.sort(key=lambda other: (other.suffix == path.suffix, other.name))
    by_stem = {other.stem: other for other in others}
    near = nearest(path.stem, by_stem)
    return f"{path} does not exist" + (f"; did you mean {by_stem[near]}?" if near else "")


def missing_of_config(path: Path) -> str:
    """The same of a file that a config names by a path of its own folder."""
    return f"{missing(path)} (relative paths start at the config file's folder)"
