"""Probes of kind `said`: a choice answered in free text, decided by a rule.

An answer names an option where it holds the words in which it differs from the other, in any case,
and not those of the other. A probe is decided where the answers in both orders of the options name
the same one.
"""

import itertools
import math
import re
from collections.abc import Iterator

from vcjax.probes.paired import ORDERS, PairedProbe
from vcjax.probes.texts import Asked
from vcjax.probes.words import Phrase, folded, words

ARTICLES = ("a", "an", "the", "some")


def asks(probe: PairedProbe) -> Iterator[Asked]:
    """How it is asked, once in each order, and what its rows of answers say of it."""
    for order in ORDERS:
        row = probe.row_of(order)
        yield Asked(probe.messages(order), probe.lead or "", probe.where, row)


def named(answer: str, options: tuple[str, str]) -> float:
    """The index of the option that an answer names; NaN where it names none or both.

    Where an option holds the other ("blue cheese", "cheese"), its words are not the other's.
    """
    text = f" {' '.join(words(folded(answer)))} "
    phrases = [f" {' '.join(phrase)} " for phrase in _phrases(options)]
    held = [False, False]
    for option in sorted((0, 1), key=lambda i: -len(phrases[i])):  # the longer one first
        held[option] = phrases[option] in text
        text = re.sub(f"(?<= ){re.escape(phrases[option].lstrip())}", "| ", text)
    return float(held.index(True)) if sum(held) == 1 else math.nan


def _phrases(options: tuple[str, str]) -> tuple[Phrase, Phrase]:
    """The words by which an answer names each option: those between what both begin and end with,
    articles aside; all of them, where of one nothing is left."""
    whole = [_without_article(words(folded(option))) for option in options]
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*whole, strict=False))
    begin = len([*same])
    rest = [phrase[begin:] for phrase in whole]
    backwards = zip(*(phrase[::-1] for phrase in rest), strict=False)
    end = len([*itertools.takewhile(lambda pair: pair[0] == pair[1], backwards)])
    first, second = (phrase[: len(phrase) - end] for phrase in rest)
    return (first, second) if first and second else (whole[0], whole[1])


def _without_article(words: Phrase) -> Phrase:
    return words[1:] if len(words) > 1 and words[0] in ARTICLES else words
