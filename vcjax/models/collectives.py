"""Collectives between devices, inside `on_each_device`; over no axes they change nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from vcjax import sharding

PyTree = Any
Axes = Sequence[str]  # of the mesh


def on_each_device(function: Callable, in_specs: PyTree, out_specs: PyTree) -> Callable:
    """The function of global arrays that runs `function` on each device's parts of them.

    in_specs, out_specs: a PartitionSpec for each array. Where no argument is sharded, `function`
    itself.
    """
    if not any(axes for spec in jax.tree.leaves(in_specs) for axes in spec):
        return function
    return jax.shard_map(function, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def gather(x: jax.Array, axes: Axes, dimension: int = 0) -> jax.Array:
    """The parts that the devices along these axes hold, put together along a dimension."""
    return jax.lax.all_gather(x, tuple(axes), axis=dimension, tiled=True) if axes else x


def add(x: jax.Array, axes: Axes) -> jax.Array:
    """The sum over the devices along these axes, whole on each of them."""
    return jax.lax.psum(x, tuple(axes)) if axes else x


def add_and_scatter(x: jax.Array, axes: Axes, dimension: int = 0) -> jax.Array:
    """The same sum, of which each device gets its part of a dimension: `gather` turned back."""
    if not axes:
        return x
    return jax.lax.psum_scatter(x, tuple(axes), scatter_dimension=dimension, tiled=True)


# --- Weights that are sharded over axes of the batch (ZeRO-3): gathered just before they are used


def over_batch(spec: PartitionSpec, batch: Axes) -> list[tuple[int, tuple[str, ...]]]:
    """(dimension, axes) of a weight for each dimension that is sharded over axes of the batch."""
    dimensions = enumerate(map(sharding.axes_in, spec))
    return [(n, axes) for n, axes in dimensions if axes and {*axes} <= {*batch}]


def gather_weight(w: jax.Array, spec: PartitionSpec, batch: Axes) -> jax.Array:
    """The weight, whole along these dimensions."""
    for dimension, axes in over_batch(spec, batch):
        w = gather(w, axes, dimension)
    return w


def scatter_gradient(grad: jax.Array, spec: PartitionSpec, batch: Axes) -> jax.Array:
    """`gather_weight` turned back: the sum over these axes, of which each device has its shard."""
    for dimension, axes in over_batch(spec, batch):
        grad = add_and_scatter(grad, axes, dimension)
    return grad
