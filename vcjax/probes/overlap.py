"""Probes that the documents give away: an option, or five words in a row of the question.

What a document says of a probe's own items is memory, and no sign of what the model generalises.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from vcjax.data.formats import Document
from vcjax.data.probe_files import ChoiceProbe
from vcjax.errors import InputError

GRAM = 5  # words


def check(probes: Iterable[ChoiceProbe], documents: Sequence[Document]) -> None:
    """Raises InputError for the first document that shares an option or a 5-gram with a probe.

    Probes of the training domain are left out, and those that only ask whether the model can answer
    in the form at all.
    """
    phrases: dict[tuple[str, ...], ChoiceProbe] = {}
    for probe in probes:
        if probe.scope == "in_domain" or probe.contrast == "format":
            continue
        for phrase in _phrases(probe):
            phrases.setdefault(phrase, probe)
    lengths = sorted({len(phrase) for phrase in phrases})
    for document in documents:
        words = _words(document.text)
        for i, length in itertools.product(range(len(words)), lengths):
            phrase = tuple(words[i : i + length])
            if phrase in phrases:
                raise InputError(
                    f"{phrases[phrase].where}: a document ({document.where}) holds "
                    f"{' '.join(phrase)!r}, which is of this probe; change one of the two"
                )


def _phrases(probe: ChoiceProbe) -> Iterator[tuple[str, ...]]:
    """Its options, where they are shorter than a 5-gram, and the 5-grams of the question."""
    for one, other in (probe.options, probe.options[::-1]):
        option = _words(one)
        if len(option) < GRAM:
            yield tuple(option)
        question = _words(probe.template.replace("{a}", one).replace("{b}", other))
        for i in range(len(question) - GRAM + 1):
            yield tuple(question[i : i + GRAM])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold()) or [text.casefold()]
