"""Probes that a training text gives away: the trained model could answer them from memory.

A document gives a probe away where it holds an option, or a good part of the question; a
demonstration does where it holds both options, since it may then demonstrate the choice, or a whole
question that has none. All that a record can train on is looked at: the text of a document; the
content, reasoning and tool calls of each turn of a demonstration, and its tools. Reasoning counts
even where the stage leaves it out.

Texts are compared as `words.py` splits them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

from etils import epath

from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError
from vcjax.probes.open_question import OpenProbe
from vcjax.probes.paired import PairedProbe
from vcjax.probes.refusal import RefusalProbe
from vcjax.probes.words import Phrase, folded, kind, signs, words
from vcjax.workdir import files

Probe = PairedProbe | OpenProbe | RefusalProbe
Part = TypeVar("Part")
Find = Callable[[Document | Demonstration], list["Hit"]]
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

_FILE = "overlap.json"


class Hit(NamedTuple):
    """A probe that records give away. probe: its place; id: its name; record: the place of the
    first record; what it holds, as text; records: how many do."""

    probe: str
    id: str
    record: str
    what: str
    records: int = 1

    def __str__(self) -> str:
        others = " (others do, too)" if self.records > 1 else ""
        return f"{self.probe}: {self.record} holds {self.what}{others}"


def refuse(hits: Iterable[Hit]) -> None:
    """Raises InputError for any hits, naming each probe once, as its most records are hit."""
    by_probe: dict[str, Hit] = {}
    for hit in hits:
        by_probe[hit.probe] = max(by_probe.get(hit.probe, hit), hit, key=lambda hit: hit.records)
    if by_probe:
        several = f"{len(by_probe)} probes are given away: " if len(by_probe) > 1 else ""
        raise InputError(
            f"{several}{'; '.join(map(str, by_probe.values()))}; change the probes or the texts, "
            'name the probes in config.exclude, or let the report say it, config.overlap="report"'
        )


def together(hits: Iterable[Hit]) -> list[Hit]:
    """One hit a probe, with the number of all its records."""
    first: dict[str, Hit] = {}
    for hit in hits:
        before = first.setdefault(hit.probe, hit._replace(records=0))
        first[hit.probe] = before._replace(records=before.records + hit.records)
    return [*first.values()]


def without_folders(hits: Iterable[Hit]) -> list[Hit]:
    """The hits with the names of files in the place of their paths."""
    return [
        hit._replace(probe=PurePath(hit.probe).name, record=PurePath(hit.record).name)
        for hit in hits
    ]


def warnings(given_away: Mapping[str, Sequence[Hit]]) -> list[str]:
    """Of probes that are only reported, one line each part of the texts; given_away: by part."""
    return [
        f"{part}: {len(hits)} probe(s) are given away, as {hits[0]}"
        for part, hits in given_away.items()
    ]


def write(folder: epath.Path, given_away: Mapping[str, Sequence[Hit]]) -> None:
    """Writes the hits of the probes that a folder has the answers to; given_away: by part."""
    shown = {part: without_folders(hits) for part, hits in given_away.items()}
    files.write_json(folder / _FILE, shown)


def read(folder: epath.Path) -> dict[str, list[Hit]]:
    """What `write` wrote; empty where nothing was written."""
    by_part = files.read_json(folder / _FILE, default={})
    return {part: [Hit(*hit) for hit in hits] for part, hits in by_part.items()}


def of_parts(
    find: Find, parts: Mapping[Part, Sequence[Document | Demonstration]]
) -> dict[Part, list[Hit]]:
    """What `find` finds in the records of each part, without parts in which it finds nothing; a
    record that several share is read once."""
    hits: dict[int, list[Hit]] = {}
    for records in parts.values():
        for record in records:
            if id(record) not in hits:
                hits[id(record)] = find(record)
    found = {
        part: together(hit for record in records for hit in hits[id(record)])
        for part, records in parts.items()
    }
    return {part: of_part for part, of_part in found.items() if of_part}


def of_prompts(
    find: Find, system: Mapping[str, str], files_of: Mapping[str, str]
) -> dict[str, list[Hit]]:
    """As `of_parts`, of the system prompts of arms. system, files_of: arm -> its prompt, and where
    this stands."""
    prompts = {arm: [Document(text, "", {}, files_of[arm])] for arm, text in system.items()}
    hits = of_parts(find, prompts)
    return {f"the prompt of {arm}": of_arm for arm, of_arm in hits.items()}


def finder(probes: Iterable[Probe], exclude: Collection[str] = ()) -> Find:
    """What finds the probes that a record gives away.

    Probes of the training domain are left out, those of NOT_COMPARED, and those whose ids are in
    `exclude`.
    """
    probes = [
        probe
        for probe in probes
        if probe.scope != "in_domain"
        and probe.contrast not in NOT_COMPARED
        and probe.id not in exclude
    ]
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

    def find(record: Document | Demonstration) -> list[Hit]:
        if isinstance(record, Document):
            return _of_document(record, in_documents)
        return _of_demonstration(record, in_demonstrations)

    return find


def _of_document(document: Document, phrases: Phrases) -> list[Hit]:
    hits: dict[str, Hit] = {}
    for phrase, probes in _held(document.text, phrases):
        for probe in probes:
            if probe.where not in hits:
                what = f"{_shown(phrase)!r}, which is of this probe"
                hits[probe.where] = Hit(probe.where, probe.id, document.where, what)
    return [*hits.values()]


def _of_demonstration(demonstration: Demonstration, options: Phrases) -> list[Hit]:
    held: dict[str, set[Phrase]] = {}
    hits: dict[str, Hit] = {}
    turns = [{**message, "role": ""} for message in demonstration.messages]
    for text in _texts([turns, demonstration.tools]):
        for option, probes in _held(text, options):
            for probe in probes:
                held.setdefault(probe.where, set()).add(option)
                if len(held[probe.where]) == max(1, len(probe.options)):
                    what = f"{'both options' if probe.options else 'the question'} of this probe"
                    hits[probe.where] = Hit(probe.where, probe.id, demonstration.where, what)
    return [*hits.values()]


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
