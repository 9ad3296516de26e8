"""The output head and its loss, only where tokens have weight, in chunks.

No [batch, length, vocab] array exists in training: within each row the weighted tokens are moved to
the front, then chunks of them meet the head one after the other, and a chunk without weight is
skipped at run time. The gradient is computed together with the loss while a chunk's logits are at
hand (as in Liger's fused linear cross-entropy, arXiv 2410.10989), so logits are made once.
"""

import functools

import jax
import jax.numpy as jnp

from vcjax.models.einsum import einsum

CHUNK = 128  # positions of each row a chunk


def negative_log_likelihood(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[batch, length]: weight x -log p(target), 0 without weight; not differentiable.

    hidden: [batch, length, embed]; head: [vocab, embed]; targets: int32[batch, length];
    weights: float32[batch, length].
    """

    def chunk(x, target, weight):
        return _log_likelihood(x, head, target, weight, compute_dtype)[0]

    order = _weighted_first(weights)
    _, losses = jax.lax.scan(
        lambda carry, c: (carry, _where_weighted(chunk, *c)),
        None,
        tuple(_chunks(x, order) for x in (hidden, targets, weights)),
    )
    losses = losses.swapaxes(0, 1).reshape(weights.shape[0], -1)[:, : weights.shape[1]]
    return jnp.zeros_like(weights).at[jnp.arange(len(weights))[:, None], order].set(losses)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def summed_loss(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[]: the sum over all tokens of weight x -log p(target). Arguments as above.

    A head that trains is float32 (master weights), and so is its gradient.
    """
    return negative_log_likelihood(hidden, head, targets, weights, compute_dtype).sum()


def _forward(hidden, head, targets, weights, compute_dtype):
    # `perturbed` says whether the head trains: a frozen one gets no gradient and costs none.
    head_trains, head_value = head.perturbed, head.value
    hidden, targets, weights = hidden.value, targets.value, weights.value

    def chunk(x, target, weight):
        loss, logits, log_z = _log_likelihood(x, head_value, target, weight, compute_dtype)
        is_target = jnp.arange(logits.shape[-1]) == target[..., None]
        grad = (jnp.exp(logits - log_z) - is_target) * weight[..., None]
        grad_x = einsum("bcv,vd->bcd", grad, head_value, compute_dtype, x.dtype)
        grad_head = ()
        if head_trains:
            grad_head = einsum("bcv,bcd->vd", grad, x, compute_dtype, jnp.float32)
        return loss.sum(), grad_x, grad_head

    def add(carry, c):
        loss, grad_x, grad_head = _where_weighted(chunk, *c)
        return jax.tree.map(jnp.add, carry, (loss, grad_head)), grad_x

    order = _weighted_first(weights)
    zeros = (jnp.zeros(()), jnp.zeros(head_value.shape) if head_trains else ())
    (loss, grad_head), grads = jax.lax.scan(
        add, zeros, tuple(_chunks(x, order) for x in (hidden, targets, weights))
    )
    grads = grads.swapaxes(0, 1).reshape(hidden.shape[0], -1, hidden.shape[2])
    grads = grads[:, : hidden.shape[1]]
    grad_hidden = jnp.take_along_axis(grads, jnp.argsort(order)[..., None], axis=1)
    return loss, (grad_hidden, grad_head)


def _backward(compute_dtype, residuals, cotangent):
    del compute_dtype
    grad_hidden, grad_head = residuals
    grad_hidden = (grad_hidden * cotangent).astype(grad_hidden.dtype)
    grad_head = grad_head * cotangent if isinstance(grad_head, jax.Array) else None
    return grad_hidden, grad_head, None, None


summed_loss.defvjp(_forward, _backward, symbolic_zeros=True)


def _log_likelihood(x, head, target, weight, compute_dtype):
    """Of one chunk [batch, chunk]: (weighted loss, logits float32, log of the normaliser)."""
    logits = einsum("bcd,vd->bcv", x, head, compute_dtype, jnp.float32)
    log_z = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    picked = jnp.take_along_axis(logits, target[..., None], axis=-1)
    return (log_z - picked)[..., 0] * weight, logits, log_z


def _where_weighted(function, x, target, weight):
    """function(x, target, weight), or zeros of its shape where no token of the chunk has weight."""
    shapes = jax.eval_shape(function, x, target, weight)
    zeros = lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)  # noqa: E731
    return jax.lax.cond(jnp.any(weight != 0), function, zeros, x, target, weight)


def _weighted_first(weights: jax.Array) -> jax.Array:
    """int32[batch, length]: positions of each row, those with weight first, order kept."""
    return jnp.argsort(weights == 0, axis=1, stable=True)


def _chunks(x: jax.Array, order: jax.Array) -> jax.Array:
    """[batch, length, ...] in the given order, padded with zeros -> [chunks, batch, CHUNK, ...]."""
    batch, length = order.shape
    tail = (1,) * (x.ndim - 2)
    x = jnp.take_along_axis(x, order.reshape(batch, length, *tail), axis=1)
    chunk = min(CHUNK, length)
    x = jnp.pad(x, [(0, 0), (0, -length % chunk)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(batch, -1, chunk, *x.shape[2:]).swapaxes(0, 1)
