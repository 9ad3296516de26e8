"""The pretrained model on its devices, and the parameters that stages start from and leave."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
from etils import epath
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models import kernels, transformer
from vcjax.models.architecture import Architecture
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.probes import answers
from vcjax.record import Record, check_numerics
from vcjax.training import checkpoint
from vcjax.training.compiled_step import param_shardings
from vcjax.weights.pretrained import Pretrained, find, load_weights
from vcjax.workdir import stages

PyTree = Any


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """The pretrained model on its devices; base: what is frozen, {} where all weights train."""

    pretrained: Pretrained
    model: Model
    mesh: jax.sharding.Mesh
    config: ConfigDict
    base: PyTree

    def params(self, workdir: epath.Path, fingerprint: str | None, seed: int) -> PyTree:
        """The parameters that a finished stage left, or those that a first stage starts from.

        The caller may give them away: none is kept here, since all weights may not fit twice.
        """
        if fingerprint is None:
            return self._untouched(seed)
        shapes = transformer.trained_shapes(self.model)
        like = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            shapes,
            param_shardings(shapes, self.model, self.mesh),
        )
        return checkpoint.restore_params(stages.folder(workdir, fingerprint) / "checkpoints", like)

    def answers(self, params: PyTree, probes: answers.Probes, lead: str) -> pd.DataFrame:
        """The answers of the model with these parameters: what `probes.answers.score` returns."""
        with jax.set_mesh(self.mesh):
            tokenizer = self.pretrained.tokenizer
            return answers.score(params, self.base, self.model, tokenizer, probes, lead)

    def _untouched(self, seed: int) -> PyTree:
        if self.model.lora is None:
            return _read_weights(self.pretrained, self.model, self.mesh)
        adapter = transformer.init_adapter(self.model, jax.random.key(seed))
        return sharding.put(adapter, param_shardings(adapter, self.model, self.mesh))


def load_model(config: ConfigDict, pretrained: Pretrained) -> LoadedModel:
    """Reads the weights and places them; config: resolved."""
    mesh = sharding.make_mesh(config.mesh.to_dict())
    model = make_model(config, pretrained.architecture, mesh)
    base = {} if model.lora is None else _read_weights(pretrained, model, mesh)
    return LoadedModel(pretrained, model, mesh, config, base)


def _read_weights(pretrained: Pretrained, model: Model, mesh: jax.sharding.Mesh) -> PyTree:
    return load_weights(pretrained, model, weight_dtype(model), mesh)


def pretrained_of(workdir: epath.Path, record: Record) -> Pretrained:
    """The model that a run trained; InputError where its file or the arithmetic is another now."""
    check_numerics(workdir, record)
    base = find(record.config["model"], record.config["chat_template"])
    if base.identity != record.model.sha256:
        raise InputError(
            f"{workdir}: it was trained on another file of {base.name}, and what it trained "
            "belongs to that; give the model its file back"
        )
    return base


def make_model(config: ConfigDict, architecture: Architecture, mesh: jax.sharding.Mesh) -> Model:
    """The decoder as the config trains it on these devices; config: resolved."""
    recipe = next(iter(config.stages.values()), config.recipe)  # all agree on these three
    lora = LoRA(recipe.rank, recipe.alpha) if recipe.train == "lora" else None
    kernel = kernels.best_kernel(mesh.devices.flat[0], architecture.head_dim, config.compute_dtype)
    return Model(architecture, lora, config.compute_dtype, config.remat, kernel)


def weight_dtype(model: Model) -> jnp.dtype:
    """Of matrices: master weights where all of them train, else the compute type."""
    return jnp.dtype(jnp.float32 if model.lora is None else model.compute_dtype)
