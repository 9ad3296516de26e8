"""The models of a run that a server has: which are chosen, and how they are loaded."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etils import epath

from vcjax.errors import InputError, hint

if TYPE_CHECKING:
    from vcjax.record import Record
    from vcjax.training.loaded_model import LoadedModel
    from vcjax.training.samplers import Speaker

LONGEST = 2048  # tokens, without --length; the cache takes memory for each slot
KEY = "VCJAX_API_KEY"  # where a server and its clients find the key that they share
ArmSeed = tuple[str, int]


def chosen(
    arms: Mapping[str, Any], names: Sequence[str] | None, seeds: Sequence[str], count: int
) -> list[ArmSeed]:
    """(arm, seed) of what --arms and --seeds name; names: None for all. count: seeds of the run."""
    for name in names or ():
        if name not in arms:
            raise InputError(f"--arms: {name!r} is none of the run's; {hint(name, [*arms])}")
    for seed in seeds:
        if seed not in map(str, range(count)):
            raise InputError(f"--seeds: {seed!r} is none of the run's {count}; they begin with 0")
    return [(arm, int(seed)) for seed in seeds for arm in names or arms]  # they may share a base


def load(
    workdir: epath.Path,
    record: "Record",
    models: Sequence[ArmSeed],
    slots: int,
    length: int | None,
) -> tuple["LoadedModel", dict[ArmSeed, "Speaker"]]:
    """The run's base, and these models ready to speak, each on its own base. length: as --length
    has it.

    Raises InputError where one of them is not trained, or its context is shorter than length.
    """
    from ml_collections import ConfigDict

    from vcjax.record import check_trained
    from vcjax.training.loaded_model import load_model, models_of
    from vcjax.training.samplers import samplers

    trained = dict.fromkeys(stage for arm, seed in models for stage in record.plan.arms[arm][seed])
    check_trained(workdir, record, trained)
    bases: dict[str, list[ArmSeed]] = {"": []}
    for arm, seed in models:
        bases.setdefault(record.base_of(arm), []).append((arm, seed))
    found = models_of(workdir, record)
    context = min(found[name].architecture.context_length for name in bases)
    length = length or min(context, LONGEST)
    if length > context:
        raise InputError(f"--length={length}: the model's context has {context:,} tokens")
    loaded = {name: load_model(ConfigDict(record.config), found[name]) for name in bases}
    speakers: dict[ArmSeed, Speaker] = {}
    for name, on_it in bases.items():
        speakers |= samplers(loaded[name], workdir, record.plan, on_it, slots, length)
    return loaded[""], {
        (arm, seed): speaker._replace(system=record.system.get(arm))
        for (arm, seed), speaker in speakers.items()
    }
