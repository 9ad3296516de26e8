"""Weights from a reader of slices onto the mesh, one layer at a time.

Each process reads the slices that its devices hold, each once. Host memory holds one layer of one
weight at a time.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.bits import to_bits
from vcjax.models.transformer import Model

PyTree = Any
Leaf = tuple[str, ...]  # a path in the weights, as ("blocks", "q", "kernel") or ("embed",)
Index = tuple[slice, ...]
# (leaf, layer or None, slice of one layer's array) -> host array, in the layout of our weights
Reader = Callable[[Leaf, int | None, Index], np.ndarray]


def load(read: Reader, model: Model, dtype: Any, mesh: jax.sharding.Mesh) -> PyTree:
    """The weights of `models/transformer.py` without adapter: matrices in dtype, others float32.

    Stacked bfloat16 weights are stored as bits (`models/bits.py`).
    """
    axes, shapes = transformer.logical_axes(model), transformer.weight_shapes(model)
    axes.pop("adapter", None), shapes.pop("adapter", None)

    def one(leaf: Leaf, layer: int, kind: Any, index: Index) -> np.ndarray:
        return to_bits(read(leaf, layer, index).astype(kind))

    def place(path: Any, like: jax.ShapeDtypeStruct, names: tuple[str, ...]) -> jax.Array:
        leaf, shape = tuple(key.key for key in path), like.shape
        kind = leaf_dtype(leaf, dtype)
        placed = jax.NamedSharding(mesh, sharding.spec(names, shape, mesh))
        if leaf[0] != "blocks":
            return _array(lambda index: read(leaf, None, index).astype(kind), shape, placed)
        one_layer = jax.NamedSharding(mesh, jax.P(*placed.spec[1:]))
        stacked: jax.Array | None = None
        for layer in range(shape[0]):
            part = _array(functools.partial(one, leaf, layer, kind), shape[1:], one_layer)
            if stacked is None:
                stacked = jnp.zeros(shape, part.dtype, device=placed)
            stacked = _set_layer(stacked, part, layer)
            stacked.block_until_ready()  # else parts pile up
        assert stacked is not None
        return stacked

    return jax.tree_util.tree_map_with_path(place, shapes, axes)


def frozen(weights: PyTree, dtype: Any) -> PyTree:
    """Weights that were trained, as `load` gives those of a file."""

    def one(path: Any, weight: jax.Array) -> jax.Array:
        leaf = tuple(key.key for key in path)
        weight = weight.astype(leaf_dtype(leaf, dtype))
        return to_bits(weight) if leaf[0] == "blocks" else weight

    return jax.tree_util.tree_map_with_path(one, weights)


def check_finite(array: np.ndarray, name: str, path: os.PathLike) -> np.ndarray:
    """The array; raises InputError where it holds NaN or infinity. name: the tensor's in `path`."""
    if not np.isfinite(array).all():
        raise InputError(
            f"{path}: tensor {name!r} holds NaN or infinity; the file is damaged, or its training "
            "diverged; get it again or use another"
        )
    return array


def leaf_dtype(leaf: Leaf, dtype: Any) -> Any:
    """The type of a weight: dtype for matrices, else float32."""
    return dtype if leaf[-1] in ("kernel", "embed", "head") else jnp.float32


@functools.partial(jax.jit, donate_argnums=0)
def _set_layer(stacked: jax.Array, part: jax.Array, layer: int) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(stacked, part[None], layer, axis=0)


def _array(
    read: Callable[[Index], np.ndarray], shape: tuple[int, ...], placed: jax.NamedSharding
) -> jax.Array:
    """A global array from its slices; one that several devices hold is read once."""
    known: dict[tuple, np.ndarray] = {}

    def slice_of(index: Index | None) -> np.ndarray:
        assert index is not None
        key = tuple((s.start, s.stop) for s in index)
        if key not in known:
            known[key] = np.ascontiguousarray(read(index))
        return known[key]

    return jax.make_array_from_callback(shape, placed, slice_of)
