"""Low-rank adapters (Hu et al., arXiv 2106.09685), as `peft` initialises and scales them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

PyTree = Any


@dataclasses.dataclass(frozen=True)
class LoRA:
    """Rank and alpha of the adapters; experts: whether those of a mixture have some, too.

    A model whose `lora` is None trains all weights.
    """

    rank: int
    alpha: float
    experts: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def of_recipe(recipe: Mapping[str, Any]) -> LoRA | None:
    """The adapters that a recipe trains; None where it trains all weights."""
    if recipe["train"] != "lora":
        return None
    return LoRA(recipe["rank"], recipe["alpha"], recipe.get("lora_experts", False))


class AdapterParam(nnx.Variable):
    """A weight of an adapter; a type of its own, so that `nnx.split` separates it from the base."""


def init_a(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A: float32[..., inputs, rank], uniform in +-1/sqrt(inputs) (Kaiming, a=sqrt(5)); B is 0."""
    bound = 1 / math.sqrt(shape[-2])
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def with_random_b(adapter: PyTree, key: jax.Array) -> PyTree:
    """An untrained adapter the other way round: B uniform in +-1/sqrt(rank), A zero (Init[B] of
    Hayou et al., arXiv 2406.08447).

    adapter: here and below, leaves a: [..., inputs, rank] and b: [..., rank, outputs].
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(adapter)
    keys = jax.random.split(key, len(leaves))

    def draw(key, shape):
        bound = 1 / math.sqrt(shape[-2])
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

    started = [
        draw(key, leaf.shape) if _is_b(path) else jnp.zeros_like(leaf)
        for key, (path, leaf) in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, started)


def scaled(adapter: PyTree, factor: float) -> PyTree:
    """The adapter that adds `factor` times as much: B times the factor."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: factor * leaf if _is_b(path) else leaf, adapter
    )


def joined(adapter: PyTree, other: PyTree) -> PyTree:
    """One adapter, of both ranks together, that adds what the two add; in the type of the first."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf, more: jnp.concatenate(
            [leaf, more.astype(leaf.dtype)], axis=-2 if _is_b(path) else -1
        ),
        adapter,
        other,
    )


def is_untrained(adapter: PyTree) -> bool:
    """Whether all of A or all of B is zero, so that the adapter adds nothing."""
    leaves = jax.tree_util.tree_leaves_with_path(adapter)
    used = {_is_b(path) for path, leaf in leaves if bool(jnp.any(leaf))}
    return len(used) < 2


def _is_b(path: tuple[Any, ...]) -> bool:
    return path[-1].key == "b"
