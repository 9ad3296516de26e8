"""Low-rank adapters (Hu et al., arXiv 2106.09685), as `peft` initialises and scales them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from vcjax.models.linear import linear


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


def low_rank(
    x: jax.Array, a: jax.Array, b: jax.Array, scale: float, axes: tuple[str, str]
) -> jax.Array:
    """x: [batch, length, inputs] -> scale x A B: [batch, length, outputs], in the type of x.

    axes: the logical axes of the weight that is adapted. A remat policy can name x A "inner".
    """
    inner = checkpoint_name(scale * linear(x, a, (axes[0], "rank")), "inner")
    # What it is added to is then added where the large matmul ends, not in another pass over both.
    return jax.lax.optimization_barrier(linear(inner, b, ("rank", axes[1])))
