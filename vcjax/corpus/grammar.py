"""Random text from a grammar: phrases have {slots}, each filled by a draw from the slot's pool."""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from random import Random
from typing import Any, TypeVar

SLOT = re.compile(r"{([\w.']+)}")

Card = TypeVar("Card")
Pools = Mapping[str, Sequence[str]]


def load(name: str) -> dict[str, Any]:
    """Reads a file of phrases that comes with the package, "sentences.toml" for example."""
    return tomllib.loads(resources.files("vcjax.corpus").joinpath(name).read_text("utf-8"))


def deal(cards: Sequence[Card], count: int, rng: Random) -> list[Card]:
    """Draws `count` cards; each is drawn once before any is drawn again."""
    dealt: list[Card] = []
    while len(dealt) < count:
        dealt += rng.sample(cards, len(cards))
    return dealt[:count]


def draw(rng: Random, phrases: list[str]) -> str:
    """Takes a phrase out of a list.

    It calls the generator once whatever the length of the list, so that the draws of two specs stay
    in step.
    """
    return phrases.pop(int(rng.random() * len(phrases)))


def expand(
    start: str,
    pools: Pools,
    rng: Random,
    voices: Mapping[str, Mapping[str, str]],
    voice: str,
    fixed: Collection[str] = (),
) -> str:
    """Writes a text from the pool `start`.

    A phrase comes up again only after its whole pool has been used. {Like} is {like} with a
    capital. {first.answer} and all that it expands to speak in the voice "first".

    Args:
        pools: slot -> phrases.
        voices: voice -> slot -> the one phrase that stands there in this voice, such as
            {"first": {"model": "I", "s": ""}}.
        voice: the voice to begin with.
        fixed: slots that have one phrase throughout the text, such as a person of a story.
    """
    left: dict[str, list[str]] = {}
    first: dict[str, str] = {}

    def fill(slot: str, voice: str) -> str:
        prefix, _, slot = slot.rpartition(".")
        voice = prefix or voice
        if slot[0].isupper():
            text = fill(slot[0].lower() + slot[1:], voice)
            return text[:1].upper() + text[1:]
        if slot in first:
            return first[slot]
        phrase = voices[voice].get(slot)
        if phrase is None:
            left[slot] = left.get(slot) or list(pools[slot])
            phrase = draw(rng, left[slot])
        text = SLOT.sub(lambda match: fill(match[1], voice), phrase)
        if slot in fixed:
            first[slot] = text
        return text

    return fill(start, voice)
