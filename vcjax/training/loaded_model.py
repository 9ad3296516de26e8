"""The pretrained model on its devices, and the parameters that stages start from and leave."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models import kernels, transformer
from vcjax.models.architecture import Architecture
from vcjax.models.lora import of_recipe
from vcjax.models.transformer import Model
from vcjax.plan import Plan, StagePlan
from vcjax.record import Record, check_numerics
from vcjax.training import checkpoint
from vcjax.training.compiled_step import param_shardings
from vcjax.weights import placement, scratch
from vcjax.weights.pretrained import Pretrained, find, load_weights
from vcjax.workdir import stages

PyTree = Any


class Weights(NamedTuple):
    """A model on its devices; params: what trains; base: what is frozen, {} where all trains."""

    model: Model
    params: PyTree
    base: PyTree


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """What the stages of a run start from and leave, on their devices.

    An adapter's base is the pretrained model, or what the pretrain stage of its arm left. One base
    is kept; it is given up for another.
    """

    pretrained: Pretrained
    mesh: jax.sharding.Mesh
    config: ConfigDict
    _bases: dict[str | None, PyTree] = dataclasses.field(default_factory=dict, init=False)

    def before(self, workdir: epath.Path, plan: Plan, stage: StagePlan) -> Weights:
        """What a stage of the plan starts from. The caller may give its params away."""
        return self._weights(workdir, plan, stage.parent, stage.recipe, stage.seed)

    def after(self, workdir: epath.Path, plan: Plan, arm: str, seed: int) -> Weights:
        """What the finished stages of an arm left where it ends; of none, the untouched model."""
        chain = plan.arms[arm][seed]
        if not chain:
            return self.untouched(workdir, plan)
        recipe = plan.stages[chain[-1]].recipe
        return self._weights(workdir, plan, chain[-1], recipe, seed, plan.ends.get(arm))

    def untouched(self, workdir: epath.Path, plan: Plan) -> Weights:
        """The pretrained model, as the stages after it would train it."""
        return self._weights(workdir, plan, None, _recipe(self.config), seed=0)

    def _weights(
        self,
        workdir: epath.Path,
        plan: Plan,
        last: str | None,
        recipe: Mapping[str, Any],
        seed: int,
        end: int | None = None,
    ) -> Weights:
        """The weights after the stage `last`, or after its update `end`, as a recipe trains them
        further."""
        model = make_model(self.config, self.pretrained.architecture, self.mesh, recipe)
        left = None if last is None else stages.weights(workdir, last, end)
        if model.lora is None:
            self._bases.clear()  # it may not fit beside all weights with their optimizer
            if left is None:
                return Weights(model, self._untouched(model, seed), {})
            return Weights(model, self._restored(left, model), {})
        first = None if last is None else plan.pretraining(last)
        pretraining = None if first is None else first.fingerprint
        base = self._base(workdir, pretraining, model)
        if left is not None and last != pretraining:
            return Weights(model, self._restored(left, model), base)
        adapter = transformer.init_adapter(model, jax.random.key(seed))
        placed = param_shardings(adapter, model, self.mesh)
        return Weights(model, sharding.put(adapter, placed), base)

    def _base(self, workdir: epath.Path, pretraining: str | None, model: Model) -> PyTree:
        """The frozen weights: those that a pretrain stage left, or the pretrained model's."""
        if pretraining not in self._bases:
            self._bases.clear()
            if pretraining is None:
                base = load_weights(self.pretrained, model, weight_dtype(model), self.mesh)
            else:
                all_train = dataclasses.replace(model, lora=None)
                restored = self._restored(stages.weights(workdir, pretraining), all_train)
                base = placement.frozen(restored, weight_dtype(model))
            self._bases[pretraining] = base
        return self._bases[pretraining]

    def _untouched(self, model: Model, seed: int) -> PyTree:
        """All weights before any training: the pretrained model's, or random ones."""
        if self.pretrained.path is not None:
            return load_weights(self.pretrained, model, weight_dtype(model), self.mesh)
        weights = transformer.init_weights(model, jax.random.key(seed))
        return sharding.put(weights, param_shardings(weights, model, self.mesh))

    def _restored(self, folder: epath.Path, model: Model) -> PyTree:
        """The parameters in the folder of a checkpoint."""
        shapes = transformer.trained_shapes(model)
        like = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            shapes,
            param_shardings(shapes, model, self.mesh),
        )
        return checkpoint.restore_params(folder, like)


def load_model(config: ConfigDict, pretrained: Pretrained) -> LoadedModel:
    """The model on its mesh; its weights are read when they are needed. config: resolved."""
    return LoadedModel(pretrained, sharding.make_mesh(config.mesh.to_dict()), config)


def pretrained_of(workdir: epath.Path, record: Record) -> Pretrained:
    """The model that a run trained; InputError where its file or the arithmetic is another now."""
    check_numerics(workdir, record)
    if record.config["model"] == configs.SCRATCH:
        base = scratch.find_again(ConfigDict(record.config), workdir)
    else:
        base = find(record.config["model"], record.config["chat_template"])
    if base.identity != record.model.sha256:
        raise InputError(
            f"{workdir}: it was trained on another file of {base.name}, and what it trained "
            "belongs to that; give the model its file back"
        )
    return base


def _recipe(config: ConfigDict) -> ConfigDict:
    """What the untouched model is scored with: how the stages after a pretraining train."""
    later = (stage for stage in config.stages.values() if stage.kind != "pretrain")
    return next(later, config.recipe)  # all agree on what a model is made by


def make_model(
    config: ConfigDict,
    architecture: Architecture,
    mesh: jax.sharding.Mesh,
    recipe: Mapping[str, Any],
) -> Model:
    """The decoder as a recipe trains it on these devices; config: resolved."""
    lora = of_recipe(recipe)
    kernel = kernels.best_kernel(mesh.devices.flat[0], architecture.head_dim, config.compute_dtype)
    return Model(architecture, lora, config.compute_dtype, config.remat, kernel)


def weight_dtype(model: Model) -> jnp.dtype:
    """Of matrices: master weights where all of them train, else the compute type."""
    return jnp.dtype(jnp.float32 if model.lora is None else model.compute_dtype)
