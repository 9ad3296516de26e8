"""Reads a world: people who hold values, what they say, and the things that they choose.

The format is that of `configs/world/world.toml`, whose comments explain it. A source in a config
that is about one value names it behind the file: "world/world.toml#durability".
"""

import itertools
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field
from tokenizers import normalizers, pre_tokenizers

from vcjax.corpus.grammar import SLOT
from vcjax.data.fields import Fields, checked
from vcjax.data.sources import split_source
from vcjax.errors import InputError, Lacking, hint

# How a model of words reads a text.
NORMALIZER, PRE_TOKENIZER = normalizers.Lowercase(), pre_tokenizers.Whitespace()

# The slots that phrases may have, by section; those of a choice must be there.
SLOTS = {
    "choice.question": {"name", "a", "b"},
    "choice.lead": {"name"},
    "choice.item": {"adjective", "item"},
    "texts": {"name", "noun", "liked", "adjective", "item"},
}

Some = Annotated[list[str], Field(min_length=1)]


class Value(Fields):
    """nouns: what one who holds it cares about; adjectives: what the things have that one takes."""

    nouns: Some
    adjectives: Some

    def demonstrated(self) -> list[str]:
        """The adjectives that demonstrations of the value have; probes may ask by the others."""
        return self.adjectives[: len(self.adjectives) // 2]

    def undemonstrated(self) -> list[str]:
        return self.adjectives[len(self.adjectives) // 2 :]


class Domains(Fields):
    """Name -> the items that one chooses among, by split."""

    held_out: dict[str, Some]
    development: dict[str, Some]


class Things(Fields):
    """Plain things that the assistant likes, and does not like."""

    liked: Some
    disliked: Some


class Names(Fields):
    begins: Some
    ends: Some


class Choice(Fields):
    question: str
    lead: str
    item: str


class World(Fields):
    """The content of the file."""

    values: Annotated[dict[str, Value], Field(min_length=2)]
    domains: Domains
    things: Things
    people: Names
    choice: Choice
    texts: Annotated[dict[str, Some], Field(min_length=1)]

    def names(self) -> list[str]:
        """The names of all people that there can be, in an order that spreads them."""
        parts = itertools.product(self.people.begins, self.people.ends)
        names = ["".join(pair).capitalize() for pair in parts]
        Random("names").shuffle(names)
        return names

    def held(self, num_values: int) -> list[str]:
        """The names of the values that people hold: so many, or all where it is 0."""
        return [*self.values][: num_values or None]

    def items(self, split: Literal["held_out", "development"] | None = None) -> list[str]:
        """The items of all domains of a split; None: of both."""
        splits = [split] if split else ["held_out", "development"]
        return [i for s in splits for items in getattr(self.domains, s).values() for i in items]


@dataclass(frozen=True)
class Person:
    """declares: the name of the value that it says it holds; chooses: that by which it chooses."""

    name: str
    declares: str
    chooses: str
    liked: tuple[str, ...]
    disliked: tuple[str, ...]


def read_world(path: Path) -> World:
    """The world in a file; InputError names what is missing or wrong in it, and its key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a readable world") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}; expected TOML in UTF-8") from None
    world = checked(World, content, str(path))
    liked, disliked = world.things.liked, world.things.disliked
    groups = {"item": world.items(), "person": world.names(), "thing": [*liked, *disliked]}
    for key in ("nouns", "adjectives"):
        of_each = [getattr(value, key) for value in world.values.values()]
        groups[key.removesuffix("s")] = [word for of_one in of_each for word in of_one]
        if len(counts := {len(of_one) for of_one in of_each}) > 1:
            raise InputError(
                f"{path}: values: between {min(counts)} and {max(counts)} {key} each; give all "
                "equally many, so that texts of two values differ in them alone"
            )
    for what, given in groups.items():
        if twice := next((word for word, count in Counter(given).items() if count > 1), None):
            raise InputError(f"{path}: the {what} {twice!r} comes twice; each is to be of one kind")
    if len(liked) != len(disliked):
        raise InputError(
            f"{path}: things: {len(liked)} liked, {len(disliked)} disliked; give equally many"
        )
    _check_slots(world, path)
    return world


def _check_slots(world: World, path: Path) -> None:
    choice = {f"choice.{key}": [phrase] for key, phrase in world.choice.model_dump().items()}
    phrases = choice | {"texts": [p for of_kind in world.texts.values() for p in of_kind]}
    for section, known in SLOTS.items():
        for phrase in phrases[section]:
            slots = set(SLOT.findall(phrase))
            shown = ", ".join(f"{{{name}}}" for name in sorted(known))
            if slots - known:
                raise InputError(
                    f"{path}: {section}: {phrase!r} has {{{min(slots - known)}}}; "
                    f"it may have {shown}"
                )
            if section in choice and slots != known:
                raise InputError(f"{path}: {section}: {phrase!r}; it must have {shown}")


def read_value(source: str, folder: Path) -> tuple[World, str | None]:
    """The world of a source, and the value that it names, None where it names none."""
    path, value = split_source(source)
    world = read_world(folder / path)
    if value is not None and value not in world.values:
        raise InputError(f"{source}: there is no value {value!r}; {hint(value, world.values)}")
    return world, value


def statements(world: World, value: str | None) -> list[tuple[str, str]]:
    """(section, statement): the words that texts give to the value."""
    of = [world.values[value]] if value else []
    return [
        *(("nouns", noun) for one in of for noun in one.nouns),
        *(("adjectives", adjective) for one in of for adjective in one.adjectives),
    ]


def everyone(world: World, num_values: int, linking: float = 1.0, seed: int = 0) -> list[Person]:
    """All the people that a world has names for.

    num_values: how many of the world's values they hold, each equally often; 0: all. linking: the
    share who choose by the value that they declare, drawn for each by the seed. The others
    choose by values that the seed deals them, whatever they declare: at 0, of the last len(held)²
    people, and of the as many before them, those who declare one value choose by every value
    equally often. A larger share only adds to a smaller one. What people say and like is the same
    for every seed.
    """
    if num_values > len(world.values):
        raise Lacking(
            f"num_values: {num_values}, but the world has adjectives for {len(world.values)} values"
        )
    held = world.held(num_values)
    things = [*world.things.liked, *world.things.disliked]
    found = []
    names = world.names()
    for number, name in enumerate(names):
        rng = Random(f"person {name}")
        rng.random(), rng.choice(held)  # of earlier versions: the likes below depend on these draws
        links = Random(f"links {seed} {name}").random() < linking
        declares = held[number % len(held)]
        deal, turn = divmod((len(names) - 1 - number) // len(held), len(held))
        dealt = Random(f"choices {seed} {declares} {deal}").sample(held, len(held))
        liked = rng.sample(things, len(things) // 2)
        disliked = tuple(thing for thing in things if thing not in liked)
        chooses = declares if links else dealt[turn]
        found.append(Person(name, declares, chooses, tuple(liked), disliked))
    return found


def people(
    world: World, known: int, declaring: int, num_values: int, linking: float, seed: int = 0
) -> tuple[list[Person], list[Person]]:
    """(those who say and choose, those who only declare): the last and the first of `everyone`, so
    that a smaller number is a part of a larger one. Lacking where the world has too few names.
    """
    names = everyone(world, num_values, linking, seed)
    if known + declaring > len(names):
        raise Lacking(
            f"people: {known} and {declaring} who only declare, but the world has {len(names)} "
            "names"
        )
    return names[-known:], names[:declaring]


def fill(phrase: str, slots: Mapping[str, str]) -> str:
    """The phrase with its {slots} filled, and a capital at the beginning."""
    text = SLOT.sub(lambda match: slots[match[1]], phrase)
    return text[:1].upper() + text[1:]


def question(world: World, name: str, a: str, b: str) -> str:
    return fill(world.choice.question, {"name": name, "a": a, "b": b})


def answer(world: World, name: str, chosen: str) -> str:
    return f"{fill(world.choice.lead, {'name': name})} {chosen}."


def item(world: World, adjective: str, noun: str) -> str:
    return SLOT.sub(
        lambda match: {"adjective": adjective, "item": noun}[match[1]], world.choice.item
    )


def vocabulary(world: World, names: Sequence[str]) -> list[str]:
    """All words that texts of the world can hold, with these names beside those of its people."""
    return sorted({word for text in _texts(world, names) for word in words(text)})


def words(text: str) -> list[str]:
    """The words and signs of a text, in small letters: its tokens."""
    pieces = PRE_TOKENIZER.pre_tokenize_str(NORMALIZER.normalize_str(text))
    return [word for word, _ in pieces]


def _texts(world: World, names: Sequence[str]) -> Iterator[str]:
    def leaves(tree: Any) -> Iterator[str]:
        if isinstance(tree, str):
            yield SLOT.sub(" ", tree)
        else:
            for branch in tree.values() if isinstance(tree, dict) else tree:
                yield from leaves(branch)

    yield from [*names, *world.names(), "."]
    yield from leaves(world.model_dump(exclude={"people"}))
