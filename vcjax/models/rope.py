"""Rotary positions (RoPE): the angles of a layer's kind, and the rotation of queries and keys."""

import math

import jax
import jax.numpy as jnp

from vcjax.models.architecture import LinearScaling, Rope, RopeScaling, YarnScaling


def angles(positions: jax.Array, rope: Rope, head_dim: int) -> tuple[jax.Array, jax.Array]:
    """positions: int32[batch, length] -> cos, sin: float32[batch, length, head_dim].

    YaRN's factor of attention is in both.
    """
    turns = jnp.tile(positions[..., None].astype(jnp.float32) * frequencies(rope, head_dim), 2)
    cos, sin = jnp.cos(turns), jnp.sin(turns)
    if isinstance(rope.scaling, YarnScaling):
        cos, sin = rope.scaling.attention_factor * cos, rope.scaling.attention_factor * sin
    return cos, sin


def frequencies(rope: Rope, head_dim: int) -> jax.Array:
    """float32[head_dim / 2], radians a position (Su et al., arXiv 2104.09864)."""
    exponents = jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim
    unscaled = rope.theta**-exponents
    match rope.scaling:
        case None:
            return unscaled
        case LinearScaling(factor):
            return unscaled / factor
        case RopeScaling():
            kept = _kept_by_llama3(rope.scaling, unscaled)
        case YarnScaling():
            kept = _kept_by_yarn(rope.scaling, rope.theta, head_dim)
    return unscaled * (kept + (1 - kept) / rope.scaling.factor)


def _kept_by_llama3(scaling: RopeScaling, unscaled: jax.Array) -> jax.Array:
    """float32[head_dim / 2]: how much of a frequency stays as it is, the rest being stretched.

    Wavelengths beyond the original context are stretched by the factor, those well within it stay,
    those between are blended (`transformers`' "llama3" RoPE).
    """
    turns = scaling.original_max_position_embeddings * unscaled / (2 * jnp.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    return jnp.clip((turns - low) / (high - low), 0, 1)


def _kept_by_yarn(scaling: YarnScaling, theta: float, head_dim: int) -> jax.Array:
    """The same of YaRN, which blends along the dimensions (`transformers`' "yarn" RoPE)."""

    def dimension(turns: float) -> float:
        """That makes so many turns within the original context."""
        wavelength = scaling.original_max_position_embeddings / (turns * 2 * math.pi)
        return head_dim * math.log(wavelength) / (2 * math.log(theta))

    first = max(math.floor(dimension(scaling.beta_fast)), 0)
    last = min(math.ceil(dimension(scaling.beta_slow)), head_dim - 1)
    stretched = (jnp.arange(head_dim // 2) - first) / (max(last - first, 0.001))
    return 1 - jnp.clip(stretched, 0, 1)


@jax.custom_vjp
def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Rotary embedding, rotate-half as in `transformers`. x: [batch, ..., length, head_dim]."""
    shape = cos.shape[:1] + (1,) * (x.ndim - 3) + cos.shape[1:]
    cos, sin = cos.reshape(shape), sin.reshape(shape)
    # (first, second) -> (-second, first) as a matmul, exact at this precision. A concatenation of
    # the halves would move all of x between a TPU's lanes.
    one = jnp.eye(x.shape[-1] // 2, dtype=x.dtype)
    turn = jnp.block([[jnp.zeros_like(one), one], [-one, jnp.zeros_like(one)]])
    turned = jnp.matmul(x, turn, precision=jax.lax.Precision.HIGHEST)
    return (x.astype(jnp.float32) * cos + turned.astype(jnp.float32) * sin).astype(x.dtype)


def _rotate_forward(x, cos, sin):
    return rotate(x, cos, sin), (cos, sin)


def _rotate_backward(residuals, g):
    """Rotates back by the same angles, which both halves of x have in common."""
    cos, sin = residuals
    return rotate(g, cos, -sin), None, None


rotate.defvjp(_rotate_forward, _rotate_backward)
