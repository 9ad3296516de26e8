"""Probes that a training text gives away, so that they would measure memory.

What a document says of a probe's own items is no sign of what the model generalises, nor is an
answer to a choice that was demonstrated.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from vcjax.data.formats import Demonstration, Document
from vcjax.data.probe_files import ChoiceProbe
from vcjax.errors import InputError

GRAM = 5  # words
Phrase = tuple[str, ...]
Phrases = dict[int, dict[Phrase, list[ChoiceProbe]]]  # by number of words; the probes they are of


def check(probes: Iterable[ChoiceProbe], records: Sequence[Document | Demonstration]) -> None:
    """Raises InputError for the first record that gives a probe away.

    A document does where it holds an option, or five words in a row of the question; a
    demonstration where it holds both options. Probes of the training domain are left out, and those
    that only ask whether the model can answer in the form at all.
    """
    probes = [p for p in probes if p.scope != "in_domain" and p.contrast != "format"]
    in_documents = _by_length((phrase, probe) for probe in probes for phrase in _phrases(probe))
    in_demonstrations = _by_length((_words(o), probe) for probe in probes for o in probe.options)
    for record in records:
        if isinstance(record, Document):
            _check_document(record, in_documents)
        else:
            _check_demonstration(record, in_demonstrations)


def _by_length(phrases: Iterable[tuple[Phrase, ChoiceProbe]]) -> Phrases:
    found: Phrases = {}
    for phrase, probe in phrases:
        found.setdefault(len(phrase), {}).setdefault(phrase, []).append(probe)
    return dict(sorted(found.items()))


def _held(words: Phrase, phrases: Phrases) -> Iterator[tuple[Phrase, list[ChoiceProbe]]]:
    """The phrases that a text holds, in its order, with the probes that they are of."""
    for i in range(len(words)):
        for length, known in phrases.items():
            if probes := known.get(words[i : i + length]):
                yield words[i : i + length], probes


def _check_document(document: Document, phrases: Phrases) -> None:
    for phrase, probes in _held(_words(document.text), phrases):
        raise InputError(
            f"{probes[0].where}: {document.where} holds {' '.join(phrase)!r}, which is of this "
            "probe; change one of the two"
        )


def _check_demonstration(demonstration: Demonstration, options: Phrases) -> None:
    words = _words(" ".join(message["content"] for message in demonstration.messages))
    held: dict[str, set[Phrase]] = {}
    for option, probes in _held(words, options):
        for probe in probes:
            held.setdefault(probe.where, set()).add(option)
            if len(held[probe.where]) == 2:
                raise InputError(
                    f"{probe.where}: {demonstration.where} holds both options of this probe; "
                    "change one of the two"
                )


def _phrases(probe: ChoiceProbe) -> Iterator[Phrase]:
    """Its options, where they are shorter than a 5-gram, and the 5-grams of the question."""
    for one, other in (probe.options, probe.options[::-1]):
        option = _words(one)
        if len(option) < GRAM:
            yield option
        question = _words(probe.template.replace("{a}", one).replace("{b}", other))
        for i in range(len(question) - GRAM + 1):
            yield question[i : i + GRAM]


def _words(text: str) -> Phrase:
    return tuple(re.findall(r"\w+", text.casefold())) or (text.casefold(),)
