"""Probes that a training text gives away: the trained model could answer them from memory.

A document gives a probe away where it holds an option, or a good part of the question; a
demonstration does where it holds both options, since it may then demonstrate the choice, or a whole
question that has none. All that a record can train on is looked at: the text of a document; the
content, reasoning and tool calls of each turn of a demonstration, and its tools. Reasoning counts
even where the stage leaves it out.

Texts are compared as `words.py` splits them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError
from vcjax.probes.open_question import OpenProbe
from vcjax.probes.paired import PairedProbe
from vcjax.probes.refusal import RefusalProbe
from vcjax.probes.words import Phrase, folded, kind, signs, words

Probe = PairedProbe | OpenProbe | RefusalProbe
Split = Callable[[str], Phrase]
# How to split a text -> first word of a phrase -> length -> the phrase -> the probes that have it.
Phrases = dict[Split, dict[str, dict[int, dict[Phrase, list[Probe]]]]]

# Contrasts of probes that may be in the training texts: they only test whether the model can answer
# in the form at all, or ask for what the documents say or people chose.
NOT_COMPARED = ("format", "knowledge", "premise")

# A part of a question counts from five words on. Where characters are compared, two Chinese ones
# or three of another script weigh as much as a word.
WEIGHTS = {"letter": 6, "han": 3, "unspaced": 2}
ENOUGH = 5 * WEIGHTS["letter"]


def check(probes: Iterable[Probe], records: Sequence[Document | Demonstration]) -> None:
    """Raises InputError for the first record that gives a probe away.

    Probes of the training domain are left out, and those of NOT_COMPARED.
    """
    if not records:
        return
    probes = [p for p in probes if p.scope != "in_domain" and p.contrast not in NOT_COMPARED]
    in_documents: Phrases = {}
    in_demonstrations: Phrases = {}
    for probe in probes:
        if not isinstance(probe, PairedProbe):
            whole = words(folded(probe.question))
            _add(in_demonstrations, words, whole or (probe.question,), probe)
        for split, option in _options(probe):
            _add(in_demonstrations, split, option, probe)
            # Of a longer option any part is one of the question's.
            if split is signs or _weight(option) < ENOUGH:
                _add(in_documents, split, option, probe)
        for part in _question_parts(probe):
            _add(in_documents, words, part, probe)
    for record in records:
        if isinstance(record, Document):
            _check_document(record, in_documents)
        else:
            _check_demonstration(record, in_demonstrations)


def _check_document(document: Document, phrases: Phrases) -> None:
    for phrase, probes in _held(document.text, phrases):
        raise InputError(
            f"{probes[0].where}: {document.where} holds {_shown(phrase)!r}, which is of this "
            "probe; change one of the two"
        )


def _check_demonstration(demonstration: Demonstration, options: Phrases) -> None:
    held: dict[str, set[Phrase]] = {}
    turns = [{**message, "role": ""} for message in demonstration.messages]
    for text in _texts([turns, demonstration.tools]):
        for option, probes in _held(text, options):
            for probe in probes:
                held.setdefault(probe.where, set()).add(option)
                if len(held[probe.where]) == max(1, len(probe.options)):
                    what = "both options" if probe.options else "the question"
                    raise InputError(
                        f"{probe.where}: {demonstration.where} holds {what} of this probe; change "
                        "one of the two"
                    )


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value as JSON has them, the keys of objects too."""
    if isinstance(value, dict):
        yield from value
        value = value.values()
    if isinstance(value, str | int | float):
        yield str(value)
    else:
        for item in value or ():
            yield from _texts(item)


# --- Phrases


def _add(phrases: Phrases, split: Split, phrase: Phrase, probe: Probe) -> None:
    of_length = phrases.setdefault(split, {}).setdefault(phrase[0], {})
    of_length.setdefault(len(phrase), {}).setdefault(phrase, []).append(probe)


def _held(text: str, phrases: Phrases) -> Iterator[tuple[Phrase, list[Probe]]]:
    """The phrases that a text holds, with the probes that have them."""
    text = folded(text)
    for split, of_first_word in phrases.items():
        pieces = split(text)
        for i, piece in enumerate(pieces):
            for length, probes_of in of_first_word.get(piece, {}).items():
                phrase = pieces[i : i + length]
                if phrase in probes_of:
                    yield phrase, probes_of[phrase]


def _options(probe: Probe) -> Iterator[tuple[Split, Phrase]]:
    """Each option: its words, where they tell it from the other, else the signs too (C#, C++)."""
    texts = [folded(option) for option in probe.options]
    same = len({*map(words, texts)}) == 1
    for text in texts:
        split = signs if same or not words(text) else words
        yield split, split(text) or (text,)


def _question_parts(probe: Probe) -> Iterator[Phrase]:
    """The shortest phrases of the question that weigh enough, in both orders of the options."""
    for text in probe.questions:
        question = words(folded(text))
        for begin in range(len(question)):
            end = begin + 1
            while end < len(question) and _weight(question[begin:end]) < ENOUGH:
                end += 1
            if _weight(question[begin:end]) >= ENOUGH:
                yield question[begin:end]


def _weight(phrase: Phrase) -> int:
    return sum(WEIGHTS.get(kind(piece[0]), WEIGHTS["unspaced"]) for piece in phrase)


def _shown(phrase: Phrase) -> str:
    spaced = (f" {piece} " if kind(piece[0]) == "letter" else piece for piece in phrase)
    return " ".join("".join(spaced).split())
