"""Prompts with their answers as HTML, divided into pages of bounded size."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping

from markupsafe import Markup

from vcjax.report import output
from vcjax.report.transcripts.prompts import Answers, Pair, Prompt

# A page ends before it has more of these; the style and what stands around the prompts come on top.
PAGE_PROMPTS = 100
PAGE_BYTES = 450_000

MOST_PAIRED = 12  # arms; with more, rules for every pair of them would outgrow the texts


@dataclasses.dataclass(frozen=True)
class Part:
    """A prompt with rows of answers, one a seed and sample; a long prompt has several parts."""

    prompt: Prompt
    anchor: str
    rows: int
    html: Markup


@dataclasses.dataclass(frozen=True)
class Listing:
    """Prompts of one file on pages, with the answers of `arms`.

    pair: the two arms that stand side by side at first; None where there is one arm only.
    """

    stem: str
    arms: list[str]
    pair: Pair | None
    pages: list[list[Part]]

    @functools.cached_property
    def names(self) -> list[str]:
        """The file names of the pages."""
        return [f"{self.stem}-{number}.html" for number in range(1, len(self.pages) + 1)]

    @functools.cached_property
    def links(self) -> dict[str, str]:
        """Where each prompt begins, by its key."""
        links: dict[str, str] = {}
        for name, parts in zip(self.names, self.pages, strict=True):
            for part in parts:
                links.setdefault(part.prompt.key, f"{name}#{part.anchor}")
        return links

    @functools.cached_property
    def rows(self) -> int:
        return sum(part.rows for parts in self.pages for part in parts)


def listing(
    stem: str,
    listed: Iterable[tuple[Prompt, Answers]],
    arms: list[str],
    pair: Pair | None,
    anchors: Mapping[str, str],
    links: Mapping[str, str],
) -> Listing:
    """Lists answers of `arms`, each once.

    Args:
      listed: prompts, each with those of its answers that are listed.
      anchors: by a prompt's key.
      links: by a prompt's key, to the same prompt with more answers.
    """
    parts = (
        part
        for prompt, answers in listed
        for part in _parts(prompt, answers, arms, anchors[prompt.key], links.get(prompt.key, ""))
    )
    return Listing(stem, arms, pair, _in_pages(parts))


def _parts(
    prompt: Prompt, answers: Answers, arms: list[str], anchor: str, link: str
) -> Iterator[Part]:
    macros = output.macros("transcripts/prompt.html.jinja")
    head = macros.head(prompt, arms, link)
    has_samples = len({sample for _, sample in prompt.answers}) > 1
    rows = []
    for trial, by_arm in answers.items():
        equal = _equal(prompt, trial, arms)
        rows.append((equal, macros.row(trial, by_arm, arms, sorted(equal), has_samples)))
    for number, chunk in enumerate(_chunks(rows, PAGE_BYTES - _size(head)), start=1):
        own = anchor if number == 1 else f"{anchor}.{number}"
        equal = set.intersection(*(equal for equal, _ in chunk))
        body = Markup("").join(row for _, row in chunk)
        html = macros.prompt(prompt, own, sorted(equal), head, body, number)
        yield Part(prompt, own, len(chunk), html)


def _equal(prompt: Prompt, trial: tuple[int, int], arms: list[str]) -> set[str]:
    """A class for every two arms whose verdicts do not differ, by which a page can hide the row."""
    if len(arms) > MOST_PAIRED:
        return set()
    pairs = itertools.combinations(enumerate(arms), 2)
    return {f"e{i}-{j}" for (i, a), (j, b) in pairs if prompt.differ(trial, (a, b)) is False}


def _chunks(
    rows: Iterable[tuple[set[str], Markup]], most_bytes: int
) -> Iterator[list[tuple[set[str], Markup]]]:
    """Rows of at most so many bytes together, and at least one row."""
    chunk: list[tuple[set[str], Markup]] = []
    size = 0
    for row in rows:
        if chunk and size + _size(row[1]) > most_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += _size(row[1])
    yield chunk


def _in_pages(parts: Iterable[Part]) -> list[list[Part]]:
    pages: list[list[Part]] = []
    size = 0
    for part in parts:
        own = _size(part.html)
        if not pages or len(pages[-1]) == PAGE_PROMPTS or size + own > PAGE_BYTES:
            pages.append([])
            size = 0
        pages[-1].append(part)
        size += own
    return pages


def _size(html: Markup) -> int:
    return len(html.encode())
