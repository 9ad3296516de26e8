"""The records of a stage: written from its specs, or read from its file, by its seed."""

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from vcjax.corpus import world as worlds
from vcjax.corpus import world_texts
from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.data.formats import Demonstration, Document, read_demonstrations, read_documents
from vcjax.data.sources import is_world, split_source
from vcjax.errors import InputError

Records = Sequence[Document | Demonstration]
Split = tuple[Records, Records]
# (a function of data/formats.py, a path) -> what it reads there
Read = Callable[[Callable[[Path], Sequence], Path], Sequence]


def stage_records(
    stage: ConfigDict,
    seed: int,
    config: ConfigDict,
    folder: Path,
    read: Read = lambda reader, path: reader(path),
) -> Split:
    """(records to train on, records held out) of a stage of the config.

    Written from the stage's specs, or read from its file and reordered; both by `seed` alone. A mix
    is only trained on, never held out. read: how files are read; a cached one serves all seeds.
    """
    own, held_out = (
        _written(stage, seed, config, folder)
        if stage.file is None
        else _reordered(stage, seed, folder, read)
    )
    if not stage.get("mix"):
        return own, held_out
    mixed = [*own, *_drawn(folder / stage.mix, len(own), stage.mix_share, seed, read)]
    random.Random(f"order-{seed}").shuffle(mixed)
    return mixed, held_out


def _reordered(stage: ConfigDict, seed: int, folder: Path, read: Read) -> Split:
    reader = read_demonstrations if stage.kind == "behavior" else read_documents
    records = [*read(reader, folder / stage.file)]
    random.Random(f"order-{seed}").shuffle(records)
    if stage.held_out >= len(records):
        raise InputError(
            f"{stage.file}: {len(records)} records, of which {stage.held_out} are to be held "
            "out; none would be left to train on"
        )
    trained = len(records) - stage.held_out
    return records[:trained], records[trained:]


def _written(stage: ConfigDict, seed: int, config: ConfigDict, folder: Path) -> Split:
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


def _drawn(path: Path, others: int, share: float, seed: int, read: Read) -> Sequence[Demonstration]:
    """As many demonstrations of the file as make up `share` of them and the `others` together."""
    mix = read(read_demonstrations, path)
    count = round(others * share / (1 - share))
    if count == 0:
        raise InputError(
            f"{path}: a share of {share} beside {others} others is not one demonstration; raise "
            "mix_share or leave the mix out"
        )
    if count > len(mix):
        raise InputError(
            f"{path}: {len(mix)} demonstrations, but a share of {share} beside {others} others "
            f"takes {count}; lower mix_share"
        )
    return random.Random(f"mix-{seed}").sample(mix, count)
