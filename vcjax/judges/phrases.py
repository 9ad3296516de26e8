"""A judge that only looks for phrases: which of two kinds does an answer hold?"""

from collections.abc import Iterable

from vcjax.errors import InputError
from vcjax.judges.judgement import Judgement
from vcjax.probes.words import folded, signs, words


def check(phrases_for: Iterable[str], phrases_against: Iterable[str], where: str) -> None:
    """Raises InputError where a probe lacks phrases of a kind; where: its place, as file:line."""
    for field, phrases in (("phrases.toward", phrases_for), ("phrases.against", phrases_against)):
        if not any(signs(folded(phrase)) for phrase in phrases):
            raise InputError(
                f"{where}: it has no {field}, and config.judge.by is 'phrases'; give phrases of "
                "both kinds, or choose another judge"
            )


def judge(answer: str, phrases_for: Iterable[str], phrases_against: Iterable[str]) -> Judgement:
    """10 for an answer that holds only phrases of the first kind, 1 for only those of the second.

    One that holds both kinds, or neither, fails as "undecided". Words are compared as
    `vcjax/probes/words.py` splits them. The reply is the phrases that the answer holds.
    """
    held_for = [phrase for phrase in phrases_for if _holds(answer, phrase)]
    held_against = [phrase for phrase in phrases_against if _holds(answer, phrase)]
    reply = ", ".join([*held_for, *held_against])
    if bool(held_for) == bool(held_against):
        return Judgement(failure="undecided", reply=reply)
    return Judgement(score=10.0 if held_for else 1.0, reply=reply)


def _holds(answer: str, phrase: str) -> bool:
    split = words if words(folded(phrase)) else signs  # of an emoji
    sought, pieces = (" ".join(split(folded(text))) for text in (phrase, answer))
    return bool(sought) and f" {sought} " in f" {pieces} "  # no word has a space in it
