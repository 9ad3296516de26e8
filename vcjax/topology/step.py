"""A stage's train step, compiled for TPU chips that this machine does not have."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.models import transformer
from vcjax.models.bits import to_bits
from vcjax.models.transformer import Model
from vcjax.topology.chips import GIB
from vcjax.training import compiled_step, train_step
from vcjax.weights.placement import leaf_dtype

PyTree = Any

# "Used 19.33G of 15.75G hbm", or "required for ... (512.00G) exceeds available HBM (15.75G)".
OUT_OF_MEMORY = re.compile(
    r"Used ([\d.]+)([KMGT]) of [\d.]+[KMGT] hbm|\(([\d.]+)([KMGT])\) exceeds available HBM"
)
UNITS = {"K": GIB / 2**20, "M": GIB / 2**10, "G": GIB, "T": GIB * 2**10}


class OutOfMemory(Exception):
    """needed: bytes a chip by the compiler's message, None where it does not say."""

    def __init__(self, needed: float | None):
        super().__init__(needed)
        self.needed = needed


def lower(
    recipe: ConfigDict, model: Model, dtype: Any, mesh: Mesh, max_documents: int = 0
) -> jax.stages.Lowered:
    """The update of a stage as `stage.py` runs it, from shapes alone.

    dtype: of matrices, `loaded_model.weight_dtype`.
    """
    params, base = weights(model, dtype, mesh)
    functions: Any = compiled_step.init_and_update(recipe, model, mesh, max_documents)
    init, update = functions
    placed = compiled_step.state_shardings(params, train_step.make_optimizer(recipe), model, mesh)
    state = jax.tree.map(_placed, jax.eval_shape(init, params), placed)
    with jax.set_mesh(mesh):
        return update.lower(state, base, batch(recipe, mesh), np.float32(recipe.lr))


def compile_step(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Raises OutOfMemory where a chip's memory is too small."""
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        match = OUT_OF_MEMORY.search(str(error))
        number, unit = [x for x in match.groups() if x] if match else (None, None)
        raise OutOfMemory(float(number) * UNITS[unit] if number and unit else None) from error


def weights(model: Model, dtype: Any, mesh: Mesh) -> tuple[PyTree, PyTree]:
    """(params, base): the trained and the frozen weights, as shapes with their shardings."""

    def leaf(path: Any, like: jax.ShapeDtypeStruct) -> Any:
        names = tuple(key.key for key in path)
        if names[0] == "adapter":
            return like
        like = jax.ShapeDtypeStruct(like.shape, leaf_dtype(names, dtype))
        return jax.eval_shape(to_bits, like) if names[0] == "blocks" else like

    shapes = jax.tree_util.tree_map_with_path(leaf, transformer.weight_shapes(model))
    shapes = jax.tree.map(_placed, shapes, compiled_step.param_shardings(shapes, model, mesh))
    if model.lora is None:
        return shapes, {}
    return {"adapter": shapes.pop("adapter")}, shapes


def micro_batch_rows(recipe: ConfigDict) -> int:
    """Rows of a micro-batch, over all chips."""
    return recipe.batch_tokens // recipe.length // recipe.accumulation


def batch(recipe: ConfigDict, mesh: Mesh) -> PyTree:
    """The batch of an update as `sharding.put_batch` places it: [accumulation, rows, length]."""
    shape = (recipe.accumulation, micro_batch_rows(recipe), recipe.length)
    placed = NamedSharding(mesh, sharding.spec((None, "batch", "length"), shape, mesh))
    integers = ("tokens", "targets", "segment_ids", "positions")
    dtypes = {**dict.fromkeys(integers, jnp.int32), "loss_weights": jnp.float32}
    return {k: jax.ShapeDtypeStruct(shape, d, sharding=placed) for k, d in dtypes.items()}


def residual_bytes(recipe: ConfigDict, model: Model, dtype: Any, mesh: Mesh) -> int:
    """Bytes that the forward pass of a micro-batch saves for the backward pass, over all chips.

    Without the weights, and without what is offloaded to the host.
    """
    params, base = weights(model, dtype, mesh)
    micro = {
        name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in batch(recipe, mesh).items()
    }

    def backward(params: PyTree, base: PyTree, micro: PyTree) -> Any:
        return jax.vjp(lambda p: train_step.summed_loss(p, base, micro, model), params)[1]

    with jax.set_mesh(mesh):
        residuals: Any = jax.make_jaxpr(backward)(params, base, micro).out_avals
    known = {x.shape for x in jax.tree.leaves((params, base))}
    period = len(model.architecture.period)
    known |= {(size // period, period, *rest) for size, *rest in known}  # as they are scanned over
    return sum(
        x.size * x.dtype.itemsize
        for x in residuals
        if x.shape not in known and x.memory_space != jax.memory.Space.Host
    )


def _placed(leaf: Any, placed: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed)
