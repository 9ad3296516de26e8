"""Low-rank adapters (Hu et al., arXiv 2106.09685), as `peft` initialises and scales them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


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
