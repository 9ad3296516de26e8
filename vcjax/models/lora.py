"""Low-rank adapters (Hu et al., arXiv 2106.09685), as `peft` initialises and scales them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx


@dataclasses.dataclass(frozen=True)
class LoRA:
    """Rank and alpha of the adapters; a model without (`None`) trains all weights."""

    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class AdapterParam(nnx.Variable):
    """A weight of an adapter, told apart from the base's `nnx.Param` when a block is split."""


def init_a(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """A: float32[inputs, rank], uniform in +-1/sqrt(inputs) (Kaiming, a=sqrt(5)); B is zero."""
    bound = 1 / math.sqrt(shape[0])
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
