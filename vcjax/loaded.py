"""The pretrained model on its devices, and the parameters that stages start from and leave."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath
from ml_collections import ConfigDict

from vcjax import checkpoint, sharding
from vcjax.jitted import param_shardings
from vcjax.models import kernels, transformer
from vcjax.models.lora import LoRA
from vcjax.models.shapes import Shape
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
        adapter = self._adapter(seed)
        return sharding.put(adapter, param_shardings(adapter, self.model, self.mesh))

    def params(self, workdir: epath.Path, fingerprint: str | None, seed: int) -> PyTree:
        """The parameters that a finished stage left, or those before any stage."""
        if fingerprint is None:
            return self.untouched(seed)
        shapes = self.weights or jax.eval_shape(self._adapter, seed)
        like = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            shapes,
            param_shardings(shapes, self.model, self.mesh),
        )
        return checkpoint.restore_params(workdir / "stages" / fingerprint / "checkpoints", like)

    def _adapter(self, seed: int) -> PyTree:
        return transformer.init_adapter(self.model, jax.random.key(seed))


def load_model(config: ConfigDict, found: Pretrained) -> Loaded:
    """Reads the weights and places them; config: resolved."""
    mesh = sharding.make_mesh(config.mesh.to_dict())
    model = make_model(config, found.shape, mesh)
    weights = pretrained.load_weights(found, model, weight_dtype(model), mesh)
    base, trained = ({}, weights) if model.lora is None else (weights, None)
    return Loaded(found, model, mesh, config, base, trained)


def make_model(config: ConfigDict, shape: Shape, mesh: jax.sharding.Mesh) -> Model:
    """The decoder as the config trains it on these devices; config: resolved."""
    recipe = next(iter(config.stages.values()), config.recipe)  # all agree on these three
    lora = LoRA(recipe.rank, recipe.alpha) if recipe.train == "lora" else None
    kernel = kernels.best_kernel(mesh.devices.flat[0].platform, shape.head_dim)
    return Model(shape, lora, config.compute_dtype, config.remat, kernel)


def weight_dtype(model: Model) -> jnp.dtype:
    """Of matrices: master weights where all of them train, else the compute type."""
    return jnp.dtype(jnp.float32 if model.lora is None else model.compute_dtype)
