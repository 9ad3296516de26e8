"""Names in links to transcripts: they say what they lead to, and no two are the same."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from vcjax.report.transcripts.prompts import Prompt


def of_files(files: Iterable[str]) -> dict[str, str]:
    """What the names of a probe file's pages begin with, by the file's name."""
    return _apart({file: file.rpartition("/")[2].partition(".")[0] for file in files})


def of_prompts(prompts: Iterable[Prompt]) -> dict[str, str]:
    """The anchor of each prompt by its key; none is like an id that pages have otherwise.

    It does not depend on answers, so that a link holds when answers are added.
    """
    names = {prompt.key: prompt.id + (" swapped" if prompt.order else "") for prompt in prompts}
    return {key: f"p-{name}" for key, name in _apart(names).items()}


def _apart(names: Mapping[str, str]) -> dict[str, str]:
    """Names of small letters, digits and hyphens by key; where two would be the same, each gets a
    hash of its key."""
    short = {
        key: re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "x"
        for key, name in names.items()
    }
    counts = Counter(short.values())
    hashes = {key: hashlib.sha256(key.encode()).hexdigest()[:12] for key in names}
    return {k: name if counts[name] == 1 else f"{name}.{hashes[k]}" for k, name in short.items()}
