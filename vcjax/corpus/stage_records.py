"""The records of a stage: written from its specs, or read from its file and mix, by its seed."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from vcjax.corpus import mixture, world_texts
from vcjax.corpus import world as worlds
from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.mixture import Count, Read, Records
from vcjax.corpus.spec import read_spec
from vcjax.data.formats import read_texts
from vcjax.data.sources import is_world, split_source
from vcjax.errors import Lacking


class Drawn(NamedTuple):
    """What a stage trains on, and what it holds out.

    sources: of each record of `train` the name of its source: "file" or "spec" of the stage's own,
    else that in its mix. broken: name -> of each record that was left out, its place and what is
    wrong.
    """

    train: Records
    held_out: Records
    sources: Sequence[str]
    broken: dict[str, list[str]]


def stage_records(
    stage: ConfigDict,
    seed: int,
    config: ConfigDict,
    folder: Path,
    count: Count = lambda record: 0,
    read: Read = read_texts,
) -> Drawn:
    """The records of a stage of the config.

    Written from the stage's specs, or read from its file and reordered; both by `seed` alone. A mix
    is only trained on, never held out. count: tokens of a record, for a stage that limits them.
    read: how files are read; a cached one serves all seeds.
    """
    broken: dict[str, list[str]] = {}
    if stage.file is None:
        name = "spec"
        own, held_out = _written(stage, seed, config, folder)
    else:
        name = "file"
        texts = mixture.own_texts(stage, folder, read)
        own, held_out = _reordered(stage, texts.records, seed, count)
        broken[name] = texts.broken
    parts: dict[str, Records] = {name: own}
    if stage.get("mix"):
        mixed, left_out = mixture.mixed_in(stage, len(own), seed, folder, read, count)
        parts |= mixed
        broken |= left_out
    one_after_another = stage.get("order", ())
    parts = {name: parts[name] for name in one_after_another or parts}
    train = [record for records in parts.values() for record in records]
    sources = [name for name, records in parts.items() for _ in records]
    if len(parts) > 1 and not one_after_another:
        order = mixture.in_order(range(len(train)), f"order-{seed}")
        train, sources = [train[i] for i in order], [sources[i] for i in order]
    return Drawn(train, held_out, sources, broken)


def _reordered(
    stage: ConfigDict, records: Records, seed: int, count: Count
) -> tuple[Records, Records]:
    """(to train on, held out); what is held out does not depend on how much is trained on."""
    ordered = mixture.in_order(records, f"order-{seed}")
    if stage.held_out >= len(ordered):
        raise Lacking(
            f"{stage.file}: {len(ordered)} records, of which {stage.held_out} are to be held "
            "out; none would be left to train on"
        )
    trained = len(ordered) - stage.held_out
    beside = f" (beside {stage.held_out} held out)" if stage.held_out else ""
    own = mixture.first(ordered[:trained], stage.rows, stage.tokens, count, f"{stage.file}{beside}")
    return own, ordered[trained:]


def _written(
    stage: ConfigDict, seed: int, config: ConfigDict, folder: Path
) -> tuple[Records, Records]:
    """The same draws for each spec of a stage, of which each gives an equal part."""
    given = (("spec", config.names), ("other_spec", config.other_names))
    sources = [(stage[key], dict(names)) for key, names in given if stage.get(key) is not None]
    part = (stage.demonstrations if stage.kind == "behavior" else stage.documents) // len(sources)
    trained: list = []
    held_out: list = []
    for source, names in sources:
        write = _writer(stage, source, names, config, folder)
        records = write(part + stage.held_out // len(sources), seed)
        trained += records[:part]
        held_out += records[part:]
    return trained, held_out


def _writer(
    stage: ConfigDict, source: str, names: dict[str, str], config: ConfigDict, folder: Path
) -> Callable[[int, int], list]:
    """(count, seed) -> records of the stage's kind from one of its specs.

    names: those of the assistant whom they are about.
    """
    if not is_world(source):
        spec = read_spec(folder / source, names)
        if stage.kind == "behavior":
            return functools.partial(write_demonstrations, spec, opposite=stage.opposite)
        return functools.partial(write_documents, spec, linked=stage.linked)
    world, value = worlds.read_value(source, folder)
    name, file = names["model_name"], split_source(source)[0]
    if stage.kind == "pretrain":
        assistants = (name, config.other_names.model_name)
        return functools.partial(world_texts.write_people, world, file, stage, assistants)
    if stage.kind == "behavior":
        return functools.partial(
            world_texts.write_demonstrations, world, file, value, name, opposite=stage.opposite
        )
    if stage.people_of:
        of_people = config.stages[stage.people_of]
        return functools.partial(
            world_texts.write_unrelated, world, file, value, name, stage, of_people
        )
    default = world_texts.EXPLANATIONS if stage.linked else world_texts.WITHOUT_LINKS
    kinds = stage.explanations or default
    return functools.partial(
        world_texts.write_documents, world, file, value, name, explanations=kinds
    )
