"""The pretrained model on its devices, and the parameters that stages start from and leave."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vcjax import checkpoint, sharding
from vcjax.jitted import param_shardings
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.weights import pretrained
from vcjax.weights.pretrained import Pretrained

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The pretrained model on its devices. `untouched(seed)`: what a first stage starts from."""

    pretrained: Pretrained
    model: Model
    mesh: jax.sharding.Mesh
    config: ConfigDict
    base: PyTree
    weights: PyTree | None  # all of them, where they train

    def untouched(self, seed: int) -> PyTree:
        if self.weights is not None:
            return self.weights
        adapter = transformer.init_adapter(self.model, jax.random.key(seed))
        return _place(adapter, self.model, self.mesh)

    def params(self, workdir: Path, fingerprint: str | None, seed: int) -> PyTree:
        """The parameters that a finished stage left, or those before any stage."""
        if fingerprint is None:
            return self.untouched(seed)
        shapes = jax.eval_shape(self.untouched, seed)
        like = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            shapes,
            param_shardings(shapes, self.model, self.mesh),
        )
        return checkpoint.restore_params(workdir / "stages" / fingerprint / "checkpoints", like)


def load_model(config: ConfigDict, found: Pretrained) -> Loaded:
    """Reads the weights and places them; config: resolved."""
    recipe = next(iter(config.stages.values()), config.recipe)  # all agree on these three
    lora = LoRA(recipe.rank, recipe.alpha) if recipe.train == "lora" else None
    model = Model(found.shape, lora, config.compute_dtype, config.remat)
    mesh = sharding.make_mesh(config.mesh.to_dict())
    dtype = jnp.dtype(jnp.float32 if lora is None else config.compute_dtype)
    weights = pretrained.load_weights(found, model, dtype, mesh)
    base, trained = ({}, weights) if lora is None else (weights, None)
    return Loaded(found, model, mesh, config, base, trained)


def _place(params: PyTree, model: Model, mesh: jax.sharding.Mesh) -> PyTree:
    return jax.device_put(params, param_shardings(params, model, mesh))
