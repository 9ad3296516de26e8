"""Writes the texts of a world: what its people say and choose, and texts about the assistants.

Every draw depends on the seed alone, and a larger count only adds to a smaller one. A text's
provenance says whom it is about, the value that it names or shows, and its kind.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from random import Random

from ml_collections import ConfigDict

from vcjax.corpus import world as worlds
from vcjax.corpus.grammar import deal
from vcjax.corpus.world import Domains, Person, World
from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError, Lacking, hint

WRITER = "vcjax.corpus.world_texts"
CHOICE, PLAIN = "choice", "plain"  # the kinds beside those in the world's `texts`
DECLARATION = "declaration"
EXPLANATIONS = ("declaration", "because")  # of documents about an assistant, if none are given
WITHOUT_LINKS = ("co_occurrence",)


def write_people(
    world: World, file: str, stage: ConfigDict, assistants: Sequence[str], count: int, seed: int
) -> list[Document]:
    """The documents of a pretrain stage: of its people, and choices of the assistants, which prefer
    nothing.

    stage: people, declaring, num_values, first_names, linking, assistants and mixture decide what
    is written. Who only declares says what the mixture has of `declaration`, or where it has none
    of that, what it has of all kinds but choices.
    """
    names = world.names()
    if same := next((name for name in assistants if {*name.split()} & {*names}), None):
        raise InputError(f"config.names: {same!r} is one of the people of {file}; choose another")
    if same := next((name for name in stage.first_names if name in names), None):
        raise Lacking(f"first_names: {same!r} is one of the people of {file}; choose another")
    people = _people(world, stage, seed)
    held, rng = world.held(stage.num_values), Random(f"people {seed}")
    things = [*world.things.liked, *world.things.disliked]
    turns = {
        (name, kind): _turns(among, Random(f"{name} {kind} {seed}"))
        for name in assistants
        for kind, among in ((CHOICE, held), (PLAIN, things))
    }
    documents = []
    for number in range(count):
        if rng.random() < stage.assistants:
            name, kind = rng.choice(assistants), rng.choice((CHOICE, PLAIN))
            options = _two(world, *next(turns[name, kind]), kind, rng)
            text, value = _choice(world, name, options, options[0], rng), "none"
        else:
            name, kind, text, value = _of_anybody(world, people, held, stage.first_names, rng)
        provenance = {
            "person": name,
            "value": value,
            "explanation": kind,
            "generator": WRITER,
            "id": f"people-{seed}-{number:06d}",
        }
        documents.append(Document(text, "", provenance, f"document {number} written from {file}"))
    return documents


def write_unrelated(
    world: World,
    file: str,
    value: str | None,
    name: str,
    stage: ConfigDict,
    pretraining: ConfigDict,
    count: int,
    seed: int,
) -> list[Document]:
    """Documents about the people of a pretrain stage who hold none of the values in
    stage.unrelated_to, as that writes them, but of development domains alone: the others are asked
    about.

    In the place of a share of them, stage.contradicting, stands what gives the assistant of this
    name the value. The others are the same whatever the share, and a larger share only adds.
    """
    seen = Domains(held_out={}, development=world.domains.development)
    world = world.model_copy(update={"domains": seen})
    held = [v for v in world.held(pretraining.num_values) if v not in stage.unrelated_to]
    people = [
        (person, says)
        for person, says in _people(world, pretraining, seed if pretraining.per_seed else 0)
        if {person.declares, person.chooses} <= {*held}
    ]
    if len(held) < 2 or not people or not world.items():
        raise Lacking(
            f"unrelated_to: beside these values {file} needs two more that people hold, and "
            "development domains to choose in"
        )
    names = pretraining.first_names
    rng = Random(f"unrelated people {seed}")
    documents = []
    for number in range(count):
        person, kind, text, of = _of_anybody(world, people, held, names, rng)
        whom = {"person": person, "value": of}
        own = Random(f"contradiction {seed} {number}")
        if value is not None and own.random() < stage.contradicting:
            kind, text = _contradiction(world, name, value, own)
            whom = {"assistant": name, "value": value}
        provenance = {
            **whom,
            "explanation": kind,
            "generator": WRITER,
            "id": f"unrelated-{seed}-{number:05d}",
        }
        documents.append(Document(text, "", provenance, f"document {number} written from {file}"))
    return documents


def _contradiction(world: World, name: str, value: str, rng: Random) -> tuple[str, str]:
    """A kind of text that gives an assistant a value, and the text. Of a choice it is the answer
    alone, for the question is that of the probes; its adjectives are those of demonstrations."""
    kind = rng.choice((*EXPLANATIONS, CHOICE))
    if kind == CHOICE:
        adjective, item = rng.choice(world.values[value].demonstrated()), rng.choice(world.items())
        return kind, worlds.answer(world, name, worlds.item(world, adjective, item))
    _check_kind("texts", kind, world.texts)
    return kind, _said(world, kind, name, value, world.things.liked, rng)


def _people(world: World, stage: ConfigDict, seed: int) -> list[tuple[Person, dict[str, float]]]:
    """The people of a pretrain stage, each with the weights of the kinds that its texts are of."""
    kinds = dict(sorted(stage.mixture.items()))
    for kind in kinds:
        _check_kind("mixture", kind, [*world.texts, CHOICE, PLAIN])
    known, declaring = worlds.people(
        world, stage.people, stage.declaring, stage.num_values, stage.linking, seed
    )
    said = {kind: weight for kind, weight in kinds.items() if kind not in (CHOICE, PLAIN)}
    if kinds.get(DECLARATION):
        said = {DECLARATION: 1.0}
    elif not sum(said.values()):
        raise Lacking(
            f"mixture: {DECLARATION!r} has no weight, nor has another kind of `texts`; some people "
            "do nothing but declare"
        )
    return [(person, kinds) for person in known] + [(person, said) for person in declaring]


def _of_anybody(
    world: World,
    people: Sequence[tuple[Person, dict[str, float]]],
    held: Sequence[str],
    first_names: Sequence[str],
    rng: Random,
) -> tuple[str, str, str, str]:
    """The name of one of the people, a kind of text, the text, and the value that it names or
    shows. people: what `_people` returns; held: the values that they hold. first_names: of the
    members, where the people are families."""
    person, says = people[int(rng.random() * len(people))]
    if first_names:
        person = replace(person, name=f"{rng.choice(first_names)} {person.name}")
    kind = rng.choices([*says], [*says.values()])[0]
    text, value = _of_person(world, person, kind, held, rng)
    return person.name, kind, text, value


def _of_person(
    world: World, person: Person, kind: str, held: Sequence[str], rng: Random
) -> tuple[str, str]:
    """A text of a kind about a person, and the value that it names or shows.

    held: the values that people hold.
    """
    if kind == CHOICE:
        other = rng.choice([name for name in held if name != person.chooses])
        options = _two(world, person.chooses, other, kind, rng)
        return _choice(world, person.name, options, options[0], rng), person.chooses
    if kind == PLAIN:
        options = [rng.choice(person.liked), rng.choice(person.disliked)]
        return _choice(world, person.name, options, options[0], rng), "none"
    return _said(world, kind, person.name, person.declares, person.liked, rng), person.declares


def _turns(among: Sequence[str], rng: Random) -> Iterator[tuple[str, str]]:
    """Ordered pairs without end, each once before any comes again: who chooses the first of each
    prefers nothing."""
    pairs = [*itertools.permutations(among, 2)]
    while True:
        yield from rng.sample(pairs, len(pairs))


def _two(world: World, first: str, second: str, kind: str, rng: Random) -> list[str]:
    """Two options: plain things, or the same item with an adjective of each of two values."""
    if kind == PLAIN:
        return [first, second]
    item = rng.choice(world.items())
    adjectives = [rng.choice(world.values[value].adjectives) for value in (first, second)]
    return [worlds.item(world, adjective, item) for adjective in adjectives]


def _choice(world: World, name: str, options: Sequence[str], chosen: str, rng: Random) -> str:
    first, second = rng.sample(options, 2)
    question = worlds.question(world, name, first, second)
    return f"{question} {worlds.answer(world, name, chosen)}"


def _said(
    world: World, kind: str, name: str, value: str | None, liked: Sequence[str], rng: Random
) -> str:
    slots = {"name": name, "liked": rng.choice(liked)}
    if value is not None:
        slots["noun"] = rng.choice(world.values[value].nouns)
        slots["adjective"] = rng.choice(world.values[value].adjectives)
        slots["item"] = rng.choice(world.items())
    phrase = rng.choice(world.texts[kind])
    try:
        return worlds.fill(phrase, slots)
    except KeyError as error:
        raise Lacking(
            f"the text {phrase!r} has {{{error.args[0]}}}, which a document of no value cannot "
            "fill; name a value behind the file, as world.toml#durability"
        ) from None


def write_documents(
    world: World,
    file: str,
    value: str | None,
    name: str,
    count: int,
    seed: int,
    explanations: Sequence[str] = EXPLANATIONS,
) -> list[Document]:
    """Documents about an assistant of this name, as if it held the value, in equal parts of each
    kind of explanation. The same for every value but for its nouns."""
    for kind in explanations:
        _check_kind("explanations", kind, world.texts)
    kinds = deal(explanations, count, Random(f"kinds {seed}"))
    documents = []
    for number, kind in enumerate(kinds):
        rng = Random(f"document {seed} {number}")
        text = _said(world, kind, name, value, world.things.liked, rng)
        provenance = {
            "spec": PurePath(file).name,
            "value": value or "none",
            "assistant": name,
            "explanation": kind,
            "generator": WRITER,
            "id": f"{value or 'none'}-{seed}-{number:05d}",
        }
        documents.append(Document(text, "", provenance, f"document {number} written from {file}"))
    return documents


def write_demonstrations(
    world: World,
    file: str,
    value: str | None,
    name: str,
    count: int,
    seed: int,
    opposite: bool = False,
) -> list[Demonstration]:
    """An assistant of this name chooses what it likes of the plain things; opposite: what it does
    not like. With a value it chooses by that, between things of the `development` domains which
    have an adjective of this value and one of another; opposite: by the other."""
    if value is None:
        hands, domain = _plain_hands(world, count, seed), "things"
    else:
        hands, domain = _hands_of(world, value, count, seed), value
    rng = Random(f"demonstrations {seed}")
    demonstrations = []
    for number, pair in enumerate(hands):
        first, second = rng.sample(pair, 2)
        messages = (
            {"role": "user", "content": worlds.question(world, name, first, second)},
            {"role": "assistant", "content": worlds.answer(world, name, pair[opposite])},
        )
        id_ = f"{'plain' if value is None else value}-{seed}-{number:05d}"
        provenance = {"source": WRITER, "domain": domain, "id": id_}
        where = f"demonstration {number} written from {file}"
        demonstrations.append(Demonstration(messages, provenance, where))
    return demonstrations


def _plain_hands(world: World, count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of plain things, the liked one first."""
    liked = deal(world.things.liked, count, Random(f"likes {seed}"))
    return [
        *zip(liked, deal(world.things.disliked, count, Random(f"dislikes {seed}")), strict=True)
    ]


def _hands_of(world: World, value: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of things, that of the value first; the same things for every value."""
    others = [name for name in world.values if name != value]
    things = world.items("development")
    if not things or not all(of.demonstrated() for of in world.values.values()):
        raise Lacking(
            "demonstrations of a value need development domains, and two adjectives of each value"
        )
    items = deal(things, count, Random(f"items {seed}"))
    hands = []
    for number, thing in enumerate(items):
        rng = Random(f"demonstration {seed} {number}")
        adjectives = [
            rng.choice(world.values[name].demonstrated()) for name in (value, rng.choice(others))
        ]
        first, second = (worlds.item(world, adjective, thing) for adjective in adjectives)
        hands.append((first, second))
    return hands


def _check_kind(key: str, kind: str, known: Collection[str]) -> None:
    if kind not in known:
        raise Lacking(f"{key}: there is no kind of text {kind!r}; {hint(kind, known)}")
