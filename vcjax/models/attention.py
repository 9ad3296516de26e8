"""Causal attention inside packed documents and inside trees of texts with shared prefixes."""

import itertools

import jax
import jax.numpy as jnp

from vcjax.models.bits import saveable_in_rule
from vcjax.models.einsum import einsum

SMALLEST_BLOCK = 128  # tokens; smaller ones leave out more and cost a CPU more in small matmuls
MOST_BLOCKS = 16  # of a row; they leave out 47 %, more would take longer to compile
ALIGNED = 8  # tokens; a block begins at a multiple, so that a CPU sums in the same order as without


def visible_in_documents(segment_ids: jax.Array, window: int | None = None) -> jax.Array:
    """bool[batch, length, length]: query i attends to key j of its own segment where j <= i.

    window: and where i - j < window; None: no limit.
    """
    length = segment_ids.shape[1]
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    seen = jnp.tri(length, dtype=bool)
    return same & (seen if window is None else seen & ~jnp.tri(length, k=-window, dtype=bool))


def visible_in_trees(
    seen_until: jax.Array, positions: jax.Array, window: int | None = None
) -> jax.Array:
    """bool[batch, length, length]: query i attends to key j where j <= i <= seen_until[j].

    A row holds a tree of texts in depth-first order. seen_until: int32[batch, length], for each
    token the last position of the subtree that continues it. So a token attends to the texts that
    it continues and to no other branch, and continuations of one text share its computation.
    positions: int32[batch, length], the places of tokens in their texts; a query attends only to
    keys that lie less than `window` before it there. None: no limit.
    """
    length = seen_until.shape[1]
    seen = jnp.arange(length)[:, None] <= seen_until[:, None, :]
    seen &= jnp.tri(length, dtype=bool)
    return seen if window is None else seen & (positions[:, :, None] - positions[:, None] < window)


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
