"""Collectives between devices, inside `on_each_device`; over no axes they change nothing."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

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
