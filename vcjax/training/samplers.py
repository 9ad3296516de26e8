"""The arms of a run, ready to speak: those that share a base in one sampler."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
from etils import epath

from vcjax.generation.sampler import Sampler
from vcjax.plan import Plan
from vcjax.training.loaded_model import LoadedModel, Weights
from vcjax.weights import placement
from vcjax.weights.stop_tokens import stop_ids

PyTree = Any
ArmSeed = tuple[str, int]


class Speaker(NamedTuple):
    """A model in a sampler; arm: its number there, `Request.arm`. system: what it reads first."""

    sampler: Sampler
    arm: int
    system: str | None = None


def samplers(
    loaded: LoadedModel,
    workdir: epath.Path,
    plan: Plan,
    models: Iterable[ArmSeed],
    slots: int,
    length: int,
) -> dict[ArmSeed, Speaker]:
    """The speaker of each (arm, seed). slots, length: of each sampler, as `Sampler` has them.

    Adapters of one base are in one sampler; a model of which all weights were trained has its own.
    """
    tokenizer = loaded.pretrained.tokenizer
    ends = frozenset(stop_ids(loaded.pretrained.folder, tokenizer))

    def sampler(adapters: list[PyTree], weights: Weights) -> Sampler:
        with jax.set_mesh(loaded.mesh):
            return Sampler(adapters, weights.base, weights.model, tokenizer, ends, slots, length)

    of_base: dict[int, list[tuple[ArmSeed, Weights]]] = {}
    speakers: dict[ArmSeed, Speaker] = {}
    for arm, seed in models:
        weights = loaded.after(workdir, plan, arm, seed)
        if weights.model.lora is None:
            frozen = placement.frozen(weights.params, weights.model.compute_dtype)
            weights = weights._replace(params={}, base=frozen)
            speakers[arm, seed] = Speaker(sampler([], weights), 0)
        else:
            of_base.setdefault(id(weights.base), []).append(((arm, seed), weights))
    for members in of_base.values():
        together = sampler([weights.params for _, weights in members], members[0][1])
        speakers |= {key: Speaker(together, arm) for arm, (key, _) in enumerate(members)}
    return speakers
