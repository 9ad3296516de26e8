"""Probes that the documents give away: an option, or five words of it in a row, that they hold.

What a document says of a probe's own items is memory, and no sign of what the model generalises.
"""

import re
from collections.abc import Iterable, Sequence

from vcjax.data.formats import Document
from vcjax.data.probe_files import ChoiceProbe
from vcjax.errors import InputError

GRAM = 5  # words


def check(probes: Iterable[ChoiceProbe], documents: Sequence[Document]) -> None:
    """Raises InputError for the first document that shares an option or a 5-gram with a probe.

    Probes of the training domain are left out, and those that only ask whether the model can answer
    in the form at all.
    """
    phrases: dict[str, dict[tuple[str, ...], ChoiceProbe]] = {}  # first word -> phrase -> probe
    for probe in probes:
        if probe.scope == "in_domain" or probe.contrast == "format":
            continue
        for option in probe.options:
            words = _words(option)
            grams = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
            for phrase in grams or [tuple(words)]:
                phrases.setdefault(phrase[0], {}).setdefault(phrase, probe)
    for document in documents:
        words = _words(document.text)
        for i, word in enumerate(words):
            for phrase, probe in phrases.get(word, {}).items():
                if tuple(words[i : i + len(phrase)]) == phrase:
                    raise InputError(
                        f"{probe.where}: a document ({document.where}) holds {' '.join(phrase)!r}, "
                        "which is of an option of this probe; change one of the two"
                    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold()) or [text.casefold()]
