"""Causal attention inside packed documents and inside trees of texts with shared prefixes; RoPE."""

import itertools

import jax
import jax.numpy as jnp

from vcjax.models.architecture import Architecture
from vcjax.models.bits import saveable_in_rule
from vcjax.models.einsum import einsum

SMALLEST_BLOCK = 128  # tokens; smaller ones leave out more and cost a CPU more in small matmuls
MOST_BLOCKS = 16  # of a row; they leave out 47 %, more would take longer to compile
ALIGNED = 8  # tokens; a block begins at a multiple, so that a CPU sums in the same order as without


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

    q: [batch, kv_heads, group, length, head_dim]; k, v: [batch, kv_heads, keys, head_dim]; mask:
    bool[batch, length, keys], causal where both lengths are equal: then a block of queries meets
    no block of later keys. Returns the shape of q.
    """
    return _forward(q, k, v, mask)[0]


def _forward(q, k, v, mask):
    def of_block(queries, keys):
        seen = slice(0, keys.stop)
        in_block = mask[:, None, None, queries, seen]
        scores = _masked_scores("bkgqh,bksh->bkgqs", q[..., queries, :], k[:, :, seen], in_block)
        highest = scores.max(axis=-1, keepdims=True)
        odds = jnp.exp(scores - highest)
        total = odds.sum(axis=-1, keepdims=True)
        out = einsum("bkgqs,bksh->bkgqh", odds, v[:, :, seen], q.dtype, jnp.float32) / total
        return out.astype(q.dtype), highest[..., 0] + jnp.log(total[..., 0])

    parts = [of_block(queries, keys) for queries, keys in _causal_blocks(q, mask)]
    out, log_total = (jnp.concatenate(x, axis=3) for x in zip(*parts, strict=True))
    out, log_total = (saveable_in_rule(x, "attended") for x in (out, log_total))
    return out, (q, k, v, mask, out, log_total)


def _backward(residuals, g):
    """From the stored normalisers, as in FlashAttention-2 (arXiv 2307.08691).

    Scores are [key, query] here, so that a CPU transposes small operands only.
    """
    q, k, v, mask, out, log_total = residuals
    seen_by = jax.lax.optimization_barrier(mask.swapaxes(1, 2))  # else read in strides
    mean = (g.astype(jnp.float32) * out.astype(jnp.float32)).sum(axis=-1)
    blocks = _causal_blocks(q, mask)
    grad_scores, grad_k, grad_v = [], [], []
    for queries, keys in blocks:
        from_here = slice(queries.start, None)
        q_here, g_here = q[..., from_here, :], g[..., from_here, :]
        in_block = seen_by[:, None, keys, None, from_here]
        scores = _masked_scores("bksh,bkgqh->bksgq", k[:, :, keys], q_here, in_block)
        p = jnp.exp(scores - log_total[:, :, None, :, from_here])
        grad_p = einsum("bksh,bkgqh->bksgq", v[:, :, keys], g_here, q.dtype, jnp.float32)
        grad = p * (grad_p - mean[:, :, None, :, from_here]) * q.shape[-1] ** -0.5
        grad_scores.append(grad.astype(q.dtype))
        grad_k.append(einsum("bksgq,bkgqh->bksh", grad_scores[-1], q_here, q.dtype))
        grad_v.append(einsum("bksgq,bkgqh->bksh", p, g_here, q.dtype))

    def of_queries(queries, keys):
        """Their gradient, from all blocks of keys up to their own: one sum, rounded once."""
        columns = [
            grad[..., queries.start - first.start : queries.stop - first.start]
            for grad, (first, _) in zip(grad_scores, blocks, strict=True)
            if first.start <= queries.start
        ]
        seen = k[:, :, : keys.stop]
        return einsum("bksgq,bksh->bkgqh", jnp.concatenate(columns, axis=2), seen, q.dtype)

    grad_q = [of_queries(queries, keys) for queries, keys in blocks]
    return jnp.concatenate(grad_q, 3), jnp.concatenate(grad_k, 2), jnp.concatenate(grad_v, 2), None


def _causal_blocks(q: jax.Array, mask: jax.Array) -> list[tuple[slice, slice]]:
    """Each block of queries with its block of keys, those of the same tokens.

    One block in float32: with several a CPU sums in another order, and results would no longer be
    those of earlier versions to the bit. In bfloat16 they are, in rows of a few hundred tokens.
    """
    _, length, keys = mask.shape
    if length != keys or q.dtype == jnp.float32:
        return [(slice(0, length), slice(0, keys))]
    count = min(max(length // SMALLEST_BLOCK, 1), MOST_BLOCKS)
    ends = [length * number // count // ALIGNED * ALIGNED for number in range(count)]
    return [(slice(*block), slice(*block)) for block in itertools.pairwise([*ends, length])]


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
