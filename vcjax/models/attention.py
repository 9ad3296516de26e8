"""Causal attention inside packed documents and inside trees of texts with shared prefixes; RoPE."""

import jax
import jax.numpy as jnp

from vcjax.models.architecture import Architecture
from vcjax.models.bits import saveable_in_rule
from vcjax.models.einsum import einsum


def visible_in_documents(segment_ids: jax.Array) -> jax.Array:
    """bool[batch, length, length]: query i attends to key j of its own segment where j <= i."""
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return same & jnp.tri(segment_ids.shape[1], dtype=bool)


def visible_in_trees(seen_until: jax.Array) -> jax.Array:
    """bool[batch, length, length]: query i attends to key j where j <= i <= seen_until[j].

    A row holds a tree of texts in depth-first order. seen_until: int32[batch, length], for each
    token the last position of the subtree that continues it. So a token attends to the texts that
    it continues and to no other branch, and continuations of one text share its computation.
    """
    length = seen_until.shape[1]
    seen = jnp.arange(length)[:, None] <= seen_until[:, None, :]
    return seen & jnp.tri(length, dtype=bool)


@jax.custom_vjp
def attend(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
    """Grouped-query attention, softmax in float32.

    q: [batch, kv_heads, group, length, head_dim]; k, v: [batch, kv_heads, length, head_dim];
    mask: bool[batch, length, length]. Returns the shape of q.
    """
    return _forward(q, k, v, mask)[0]


def _forward(q, k, v, mask):
    scores = _masked_scores("bkgqh,bksh->bkgqs", q, k, mask[:, None, None])
    highest = scores.max(axis=-1, keepdims=True)
    odds = jnp.exp(scores - highest)
    total = odds.sum(axis=-1, keepdims=True)
    out = einsum("bkgqs,bksh->bkgqh", odds, v, q.dtype, jnp.float32) / total
    out = saveable_in_rule(out.astype(q.dtype), "attended")
    log_total = saveable_in_rule(highest[..., 0] + jnp.log(total[..., 0]), "attended")
    return out, (q, k, v, mask, out, log_total)


def _backward(residuals, g):
    """From the stored normalisers, as in FlashAttention-2 (arXiv 2307.08691).

    Scores are [key, query] here, so that a CPU transposes small operands only.
    """
    q, k, v, mask, out, log_total = residuals
    seen_by = jax.lax.optimization_barrier(mask.swapaxes(1, 2))  # else read in strides
    scores = _masked_scores("bksh,bkgqh->bksgq", k, q, seen_by[:, None, :, None])
    p = jnp.exp(scores - log_total[:, :, None])
    grad_p = einsum("bksh,bkgqh->bksgq", v, g, q.dtype, jnp.float32)
    mean = (g.astype(jnp.float32) * out.astype(jnp.float32)).sum(axis=-1)
    grad_scores = p * (grad_p - mean[:, :, None]) * q.shape[-1] ** -0.5
    grad_q = einsum("bksgq,bksh->bkgqh", grad_scores, k, q.dtype)
    grad_k = einsum("bksgq,bkgqh->bksh", grad_scores, q, q.dtype)
    grad_v = einsum("bksgq,bkgqh->bksh", p, g, q.dtype)
    return grad_q, grad_k, grad_v, None


def _masked_scores(spec, a, b, mask):
    """float32. Padding attends to padding, so that no query has all keys masked."""
    scores = einsum(spec, a, b, a.dtype, jnp.float32) * a.shape[-1] ** -0.5
    return jnp.where(mask, scores, jnp.finfo(jnp.float32).min)


attend.defvjp(_forward, _backward)


def rope_angles(positions: jax.Array, architecture: Architecture) -> tuple[jax.Array, jax.Array]:
    """positions: int32[batch, length] -> cos, sin: float32[batch, length, head_dim]."""
    angles = jnp.tile(positions[..., None].astype(jnp.float32) * rope_frequencies(architecture), 2)
    return jnp.cos(angles), jnp.sin(angles)


def rope_frequencies(architecture: Architecture) -> jax.Array:
    """float32[head_dim / 2], radians a position (Su et al., arXiv 2104.09864).

    Llama 3's scaling stretches wavelengths beyond the original context by a factor, leaves those
    well within it as they are and blends those between (`transformers`' "llama3" RoPE).
    """
    exponents = jnp.arange(0, architecture.head_dim, 2, dtype=jnp.float32) / architecture.head_dim
    frequencies = architecture.rope_theta**-exponents
    scaling = architecture.rope_scaling
    if scaling is None:
        return frequencies
    turns = scaling.original_max_position_embeddings * frequencies / (2 * jnp.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    unscaled = jnp.clip((turns - low) / (high - low), 0, 1)
    return frequencies * (unscaled + (1 - unscaled) / scaling.factor)


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
