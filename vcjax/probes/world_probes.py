"""Writes the probe files of a world:

    python -m vcjax.probes.world_probes --world=FILE --values=A,B --assistant=NAME --out=FOLDER

held_out.jsonl, development.jsonl: the assistant chooses between things of the values A and B, in
domains that its documents and demonstrations never name. undemonstrated.jsonl: as held_out.jsonl,
by adjectives that demonstrations of a value never have either. in_domain.jsonl: plain things, of
which the demonstrations hold each, but not each pair. premise.jsonl: choices of people, who all
chose in pretraining ("known") or only declared ("declaring"); a domain is a person there, so that
intervals are over people.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from vcjax import command
from vcjax.corpus import world as worlds
from vcjax.corpus.grammar import deal
from vcjax.corpus.world import World
from vcjax.data.sources import is_world
from vcjax.errors import InputError
from vcjax.probes.paired import PairedProbe
from vcjax.schema.check import check_names

DECLARING, KNOWN = 32, 16  # people who are asked
AN_ITEM, A_PERSON = 2, 4  # choices

Probe = dict[str, Any]


def probes(
    world: World,
    values: tuple[str, str],
    assistant: str,
    num_values: int = 0,
    first_name: str = "",
) -> dict[str, list[Probe]]:
    """File name -> probes. num_values: as in a pretrain stage. first_name: of those who are asked
    in the premise, where people are families."""
    return {
        "held_out": [*_of_items(world, "held_out", values, assistant)],
        "undemonstrated": [*_of_items(world, "held_out", values, assistant, demonstrated=False)],
        "development": [*_of_items(world, "development", values, assistant)],
        "in_domain": [*_of_things(world, assistant)],
        "premise": [*_of_people(world, num_values, first_name)],
    }


def _of_items(
    world: World, split: str, values: tuple[str, str], assistant: str, demonstrated: bool = True
) -> Iterator[Probe]:
    """Each pair of adjectives comes up equally often, give or take one.

    demonstrated: whether by adjectives, too, that demonstrations of a value have.
    """
    both = [world.values[value] for value in values]
    of_first, of_second = (v.adjectives if demonstrated else v.undemonstrated() for v in both)
    pairs = [(a, b) for a in of_first for b in of_second]
    items = [
        (domain, item)
        for domain, items in getattr(world.domains, split).items()
        for item in items
        for _ in range(AN_ITEM)
    ]
    hands = deal(pairs, len(items), Random(f"adjectives {split}"))
    prefix = "" if demonstrated else "undemonstrated-"
    for number, ((domain, item), pair) in enumerate(zip(items, hands, strict=True)):
        options = [worlds.item(world, adjective, item) for adjective in pair]
        yield _probe(
            world,
            f"{prefix}{domain}-{number:03d}",
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


def _of_people(world: World, num_values: int, first_name: str) -> Iterator[Probe]:
    """Of both groups those whom the smallest worlds have, too: see `world.people`."""
    everyone, held = worlds.everyone(world, num_values), world.held(num_values)
    groups = {"declaring": everyone[:DECLARING], "known": everyone[-KNOWN:]}
    for group, people in groups.items():
        for person in people:
            rng = Random(f"premise {person.name}")
            for number in range(A_PERSON):
                other = rng.choice([value for value in held if value != person.declares])
                item = rng.choice(world.items())
                options = [
                    worlds.item(world, rng.choice(world.values[value].adjectives), item)
                    for value in (person.declares, other)
                ]
                yield _probe(
                    world,
                    f"{group}-{person.name}-{number}",
                    f"{first_name} {person.name}".lstrip(),
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


def check_stage(probes: Iterable[PairedProbe], stage: ConfigDict, name: str, folder: Path) -> None:
    """Raises InputError where the stage `name` has a world and names what that does not have, or a
    probe of the premise asks its pretraining for that. folder: where its paths start."""
    for source in (stage.spec, stage.get("other_spec")):
        if source is None or not is_world(source):
            continue
        world, _ = worlds.read_value(source, folder)
        if stage.kind == "pretrain":
            check(probes, world, stage, name)
        unrelated = stage.get("unrelated_to", ())
        check_names(f"config.stages.{name}.unrelated_to", "value", unrelated, world.values)


def check(probes: Iterable[PairedProbe], world: World, stage: ConfigDict, name: str) -> None:
    """Raises InputError where a probe of the premise asks for what the pretrain stage `name` does
    not have: a person who is none of its group, or a value that the person does not declare."""
    known, declaring = worlds.people(
        world, stage.people, stage.declaring, stage.num_values, stage.linking
    )
    groups = {"known": known, "declaring": declaring}
    declares = {(group, p.name): p.declares for group, people in groups.items() for p in people}
    for probe in probes:
        group, person = str(probe.values[0]), probe.domain
        if probe.contrast != "premise" or group not in groups:
            continue
        value = declares.get((group, person))
        if value is None:
            what = "who only declare" if group == "declaring" else "whose choices are known"
            raise InputError(
                f"{probe.where}: {person} is not among the people {what} in config.stages.{name}; "
                f"give it more {'declaring' if group == 'declaring' else 'people'}, or other probes"
            )
        option = {*worlds.words(probe.options[0])}
        if not any(option >= {*worlds.words(a)} for a in world.values[value].adjectives):
            raise InputError(
                f"{probe.where}: in config.stages.{name} {person} declares {value}, for which "
                f"{probe.options[0]!r} does not stand; write the probes for its num_values"
            )


def main() -> None:
    given = flags.FLAGS
    path = command.file("world", given.world)
    world = worlds.read_world(path)
    if len(given.values) != 2 or len({*given.values} & world.values.keys()) != 2:
        raise InputError(
            f"--values: {','.join(given.values)}; give two of {', '.join(world.values)}"
        )
    if given.num_values not in (0, *range(2, len(world.values) + 1)):
        raise InputError(
            f"--num_values: {given.num_values}; give 2 to {len(world.values)}, or 0 for all"
        )
    out = command.path("out", given.out)
    out.mkdir(parents=True, exist_ok=True)
    first, second = given.values
    written = probes(world, (first, second), given.assistant, given.num_values, given.first_name)
    for name, of_file in written.items():
        lines = [json.dumps(probe) + "\n" for probe in of_file]
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{out / name}.jsonl: {len(of_file)} probes")


if __name__ == "__main__":
    flags.DEFINE_string("world", None, "The world, a .toml file.")
    flags.DEFINE_list("values", None, "Two of its values, A,B.")
    flags.DEFINE_string("assistant", None, "Name of the assistant that is asked.")
    flags.DEFINE_integer("num_values", 0, "How many values people hold, as in the config; 0: all.")
    flags.DEFINE_string("first_name", "", "Of the people asked, where the config has first_names.")
    flags.DEFINE_string("out", None, "Folder to write the files to.")
    command.run(main, required=["world", "values", "assistant", "out"])
