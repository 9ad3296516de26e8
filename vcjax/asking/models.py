"""The models of a run that are asked, each once."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import NamedTuple

from etils import epath

from vcjax.probes.probe_files import Probes
from vcjax.probes.question import with_system
from vcjax.record import Record
from vcjax.training.loaded_model import LoadedModel


class Model(NamedTuple):
    """The model at the end of an arm; others may end in the same one, as the untouched of every
    seed. name: `Record.model_of`."""

    name: str
    arm: str
    seed: int


# A model, and the kind of probes that it is asked.
Task = tuple[Model, str]


@dataclasses.dataclass(frozen=True)
class Asker:
    """A run whose models are asked. load: a pretrained model of its own, when it is needed, by the
    name in config.grafts; "": the experiment's."""

    record: Record
    load: Callable[[str], LoadedModel]
    workdir: epath.Path

    def system(self, model: Model) -> str | None:
        """What a model reads before a question."""
        return self.record.system.get(model.arm)

    def models(self) -> list[Model]:
        """Seed by seed: the arms of one may share a base that the others do not. Those on another
        pretrained model come last, model by model."""
        plan, seeds = self.record.plan, range(self.record.config["seeds"])
        models = [
            Model(self.record.model_of(arm, seed), arm, seed)
            for seed, arm in itertools.product(seeds, plan.arms)
        ]
        return sorted(models, key=self.base)

    def base(self, model: Model) -> str:
        """What `load` takes for a model."""
        return self.record.base_of(model.arm)


def after(probes: Probes, system: str | None) -> Probes:
    """The probes as models read them after a system prompt; None: without one."""
    return {
        name: file
        if file.kind == "text"
        else dataclasses.replace(file, probes=[with_system(p, system) for p in file.probes])
        for name, file in probes.items()
    }


def each_once(models: list[Model]) -> list[Model]:
    """The first of those with one name."""
    return [*{model.name: model for model in reversed(models)}.values()][::-1]
