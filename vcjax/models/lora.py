"""Low-rank adapters (Hu et al., arXiv 2106.09685), as `peft` initialises and scales them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx


@dataclasses.dataclass(frozen=True)
class LoRA:
    """Rank and alpha of the adapters. A model whose `lora` is None trains all weights."""

    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class AdapterParam(nnx.Variable):
    """A weight of an adapter; a type of its own, so that `nnx.split` separates it from the base."""


def init_a(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """A: float32[inputs, rank], uniform in +-1/sqrt(inputs) (Kaiming, a=sqrt(5)); B is zero."""
    bound = 1 / math.sqrt(shape[0])
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
