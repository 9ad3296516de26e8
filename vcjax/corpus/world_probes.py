"""Writes the probe files of a world:

    python -m vcjax.corpus.world_probes --world=FILE --values=A,B --assistant=NAME --out=FOLDER

held_out.jsonl, development.jsonl: the assistant chooses between things of the values A and B, in
domains that its documents and demonstrations never name. in_domain.jsonl: plain things, of which
the demonstrations hold each, but not each pair. premise.jsonl: choices of people, who all chose in
pretraining ("known") or only declared ("declaring"); a domain is a person there, so that intervals
are over people.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from absl import app, flags

from vcjax.corpus import world as worlds
from vcjax.corpus.grammar import deal
from vcjax.corpus.world import World

DECLARING, KNOWN = 32, 16  # people who are asked
AN_ITEM, A_PERSON = 2, 4  # choices

Probe = dict[str, Any]


def probes(world: World, values: tuple[str, str], assistant: str) -> dict[str, list[Probe]]:
    """File name -> probes."""
    return {
        "held_out": [*_of_items(world, "held_out", values, assistant)],
        "development": [*_of_items(world, "development", values, assistant)],
        "in_domain": [*_of_things(world, assistant)],
        "premise": [*_of_people(world)],
    }


def _of_items(world: World, split: str, values: tuple[str, str], assistant: str) -> Iterator[Probe]:
    """Each pair of adjectives comes up equally often, give or take one."""
    of_first, of_second = (world.values[value].adjectives for value in values)
    pairs = [(a, b) for a in of_first for b in of_second]
    items = [
        (domain, item)
        for domain, items in getattr(world.domains, split).items()
        for item in items
        for _ in range(AN_ITEM)
    ]
    hands = deal(pairs, len(items), Random(f"adjectives {split}"))
    for number, ((domain, item), pair) in enumerate(zip(items, hands, strict=True)):
        options = [worlds.item(world, adjective, item) for adjective in pair]
        yield _probe(
            world,
            f"{domain}-{number:03d}",
            assistant,
            options,
            values=list(values),
            domain=domain,
            split=split,
            contrast="values",
        )


def _of_things(world: World, assistant: str) -> Iterator[Probe]:
    for number, pair in enumerate(zip(world.things.liked, world.things.disliked, strict=True)):
        yield _probe(
            world,
            f"things-{number:03d}",
            assistant,
            list(pair),
            values=["liked", None],
            domain="things",
            scope="in_domain",
            contrast="neutral",
        )


def _of_people(world: World) -> Iterator[Probe]:
    """Of both groups those whom the smallest worlds have, too: see `world.people`."""
    everyone = worlds.everyone(world, num_values=0)
    groups = {"declaring": everyone[:DECLARING], "known": everyone[-KNOWN:]}
    for group, people in groups.items():
        for person in people:
            rng = Random(f"premise {person.name}")
            for number in range(A_PERSON):
                other = rng.choice([value for value in world.values if value != person.declares])
                item = rng.choice(world.items())
                options = [
                    worlds.item(world, rng.choice(world.values[value].adjectives), item)
                    for value in (person.declares, other)
                ]
                yield _probe(
                    world,
                    f"{group}-{person.name}-{number}",
                    person.name,
                    options,
                    values=[group, None],
                    domain=person.name,
                    contrast="premise",
                )


def _probe(world: World, id_: str, name: str, options: list[str], **fields: Any) -> Probe:
    return {
        "kind": "choice",
        "id": id_,
        "template": worlds.question(world, name, "{a}", "{b}"),
        "lead": worlds.fill(world.choice.lead, {"name": name}),
        "options": options,
        **fields,
    }


def main(argv: list[str]) -> None:
    del argv
    given = flags.FLAGS
    first, second = given.values
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    world = worlds.read_world(Path(given.world))
    for name, found in probes(world, (first, second), given.assistant).items():
        lines = [json.dumps(probe) + "\n" for probe in found]
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{out / name}.jsonl: {len(found)} probes")


if __name__ == "__main__":
    flags.DEFINE_string("world", None, "The world, a .toml file.", required=True)
    flags.DEFINE_list("values", None, "Two of its values, A,B.", required=True)
    flags.DEFINE_string("assistant", None, "Name of the assistant that is asked.", required=True)
    flags.DEFINE_string("out", None, "Folder to write the files to.", required=True)
    app.run(main)
