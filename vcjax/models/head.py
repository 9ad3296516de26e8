"""The output head and its loss: only tokens with weight, in chunks, sharded over the vocabulary.

No [batch, length, vocab] array exists in training: within each row the weighted tokens are moved to
the front, then the head is applied to one chunk of them after the other, and a chunk without weight
is skipped at run time. The gradient is computed together with the loss while a chunk's logits are
at hand (as in Liger's fused linear cross-entropy, arXiv 2410.10989), so logits are computed once.

On several devices each holds one shard of the vocabulary and never more of the head (as in
Megatron-LM's parallel cross-entropy, arXiv 1909.08053). Where rows are sharded over the same mesh
axes, a chunk's hidden states are gathered over these, so activations travel and not the head or its
gradient; sums over the vocabulary are sums over devices. Where the devices do not divide the
vocabulary, the head gets rows of zeros at its end, whose classes have no probability.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models.collectives import Axes, add, add_and_scatter, gather, on_each_device
from vcjax.models.einsum import einsum

CHUNK = 128  # positions of each row a chunk, at most


def negative_log_likelihood(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[batch, length]: weight x -log p(target), 0 without weight; not differentiable.

    hidden: [batch, length, embed]; head: [vocab, embed]; targets: int32[batch, length];
    weights: float32[batch, length].
    """
    classes, head = len(head), _in_whole_shards(head)
    rows, vocab, both = _mesh_axes(hidden, head)

    def on_one_device(hidden, head, targets, weights):
        def chunk(x, target, weight):
            x, target, weight = (gather(y, both) for y in (x, target, weight))
            loss = _log_likelihood(x, head, target, weight, compute_dtype, vocab, classes)[0]
            return _own_rows(loss, both)

        order = _weighted_first(weights)

        def chunk_or_zeros(_, c):
            skip = lambda x, target, weight: jnp.zeros_like(weight)  # noqa: E731
            return None, jax.lax.cond(_any_weight(c[2], both), chunk, skip, *c)

        _, losses = jax.lax.scan(
            chunk_or_zeros, None, tuple(_chunks(x, order) for x in (hidden, targets, weights))
        )
        losses = losses.swapaxes(0, 1).reshape(weights.shape[0], -1)[:, : weights.shape[1]]
        return jnp.zeros_like(weights).at[jnp.arange(len(weights))[:, None], order].set(losses)

    in_specs = _specs(rows, vocab)
    return on_each_device(on_one_device, in_specs, in_specs[0])(hidden, head, targets, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def summed_loss(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[]: the sum over all tokens of weight x -log p(target). Arguments as above.

    A head that trains is float32 (master weights), and so is its gradient.
    """
    return negative_log_likelihood(hidden, head, targets, weights, compute_dtype).sum()


def _forward(hidden, head, targets, weights, compute_dtype):
    # `perturbed` says whether the head trains: a frozen one gets no gradient and costs none.
    head_trains, classes, head = head.perturbed, len(head.value), _in_whole_shards(head.value)
    rows, vocab, both = _mesh_axes(hidden.value, head)

    def on_one_device(hidden, head, targets, weights):
        def add_chunk(carry, x, target, weight):
            total, grad_head = carry
            x, target, weight = (gather(y, both) for y in (x, target, weight))
            loss, logits, log_z, is_target = _log_likelihood(
                x, head, target, weight, compute_dtype, vocab, classes
            )
            grad = (jnp.exp(logits - log_z) - is_target) * weight[..., None]
            grad_x = einsum("bcv,vd->bcd", grad, head, compute_dtype, jnp.float32)
            grad_x = add(grad_x, _without(vocab, both))
            grad_x = add_and_scatter(grad_x, both).astype(hidden.dtype)
            if head_trains:
                grad_head += einsum("bcv,bcd->vd", grad, x, compute_dtype, jnp.float32)
            return (total + loss.sum(), grad_head), grad_x

        def add_or_skip(carry, c):
            skip = lambda carry, x, *_: (carry, jnp.zeros_like(x))  # noqa: E731
            return jax.lax.cond(_any_weight(c[2], both), add_chunk, skip, carry, *c)

        order = _weighted_first(weights)
        zeros = (jnp.zeros(()), jnp.zeros(head.shape) if head_trains else ())
        totals, grads = jax.lax.scan(
            add_or_skip, zeros, tuple(_chunks(x, order) for x in (hidden, targets, weights))
        )
        grads = grads.swapaxes(0, 1).reshape(hidden.shape[0], -1, hidden.shape[2])
        grads = grads[:, : hidden.shape[1]]
        grad_hidden = jnp.take_along_axis(grads, jnp.argsort(order)[..., None], axis=1)
        # Gathered rows are in these totals already.
        loss, grad_head = jax.tree.map(lambda x: add(x, _without(rows, both)), totals)
        return loss, (grad_hidden, grad_head)

    in_specs = _specs(rows, vocab)
    out_specs = PartitionSpec(), (in_specs[0], in_specs[1] if head_trains else ())
    loss, (grad_hidden, grad_head) = on_each_device(on_one_device, in_specs, out_specs)(
        hidden.value, head, targets.value, weights.value
    )
    if head_trains and len(grad_head) > classes:
        grad_head = sharding.constrain(grad_head, None, "embed")[:classes]
    return loss, (grad_hidden, grad_head)


def _backward(compute_dtype, residuals, cotangent):
    del compute_dtype
    grad_hidden, grad_head = residuals
    grad_hidden = (grad_hidden * cotangent).astype(grad_hidden.dtype)
    grad_head = grad_head * cotangent if isinstance(grad_head, jax.Array) else None
    return grad_hidden, grad_head, None, None


summed_loss.defvjp(_forward, _backward, symbolic_zeros=True)


def _in_whole_shards(head: jax.Array) -> jax.Array:
    """The head with rows of zeros at its end, so that the devices divide its classes."""
    mesh = sharding.mesh_in_use()
    more = 0 if mesh is None else -len(head) % sharding.shards("classes", mesh.shape)
    return jnp.pad(head, ((0, more), (0, 0))) if more else head


def _mesh_axes(hidden: jax.Array, head: jax.Array) -> tuple[Axes, Axes, Axes]:
    """The mesh axes that shard the rows, the vocabulary, and both; all () on one device."""
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return (), (), ()
    rows = sharding.axes_of("batch", len(hidden), mesh)
    vocab = sharding.axes_of("classes", len(head), mesh)
    return rows, vocab, tuple(axis for axis in rows if axis in vocab)


def _without(axes: Axes, others: Axes) -> Axes:
    return tuple(axis for axis in axes if axis not in others)


def _specs(rows: Axes, vocab: Axes) -> tuple[PartitionSpec, ...]:
    """Of hidden, head, targets, weights."""
    by_row, by_class = PartitionSpec(rows), PartitionSpec(vocab)
    return by_row, by_class, by_row, by_row


def _own_rows(x: jax.Array, axes: Axes) -> jax.Array:
    """A device's own rows of what `gather` put together."""
    if not axes:
        return x
    rows = len(x) // jax.lax.axis_size(axes)
    start = jax.lax.axis_index(axes) * rows
    return jax.lax.dynamic_slice_in_dim(x, start, rows)


def _log_likelihood(x, head, target, weight, compute_dtype, vocab, classes):
    """Of a chunk [batch, chunk]: (weighted loss, logits float32, log normaliser, is_target).

    vocab: the mesh axes of the vocabulary; classes: its size without the rows of zeros. logits and
    is_target: [batch, chunk, this device's part of the vocabulary].
    """
    logits = einsum("bcd,vd->bcv", x, head, compute_dtype, jnp.float32)
    first = jax.lax.axis_index(vocab) * len(head) if vocab else 0
    ids = first + jnp.arange(len(head))
    if vocab and len(head) * jax.lax.axis_size(vocab) > classes:
        logits = jnp.where(ids < classes, logits, -jnp.inf)
    highest = logits.max(axis=-1, keepdims=True)
    if vocab:
        highest = jax.lax.pmax(highest, vocab)
    total = add(jnp.exp(logits - highest).sum(axis=-1, keepdims=True), vocab)
    log_z = highest + jnp.log(total)
    is_target = ids == target[..., None]
    picked = add(jnp.where(is_target, logits, 0).sum(axis=-1), vocab)
    return (log_z[..., 0] - picked) * weight, logits, log_z, is_target


def _any_weight(weight: jax.Array, axes: Axes) -> jax.Array:
    """Whether a token of the chunk has weight on any device along the axes.

    They have to agree: were one to skip a chunk, the others would wait in `gather` for ever.
    """
    return add(jnp.any(weight != 0).astype(jnp.int32), axes) > 0


def _weighted_first(weights: jax.Array) -> jax.Array:
    """int32[batch, length]: the positions of each row, those with weight first, else in order."""
    return jnp.argsort(weights == 0, axis=1, stable=True)


def _chunks(x: jax.Array, order: jax.Array) -> jax.Array:
    """[batch, length, ...] in the given order, padded with zeros -> [chunks, batch, CHUNK, ...]."""
    batch, length = order.shape
    tail = (1,) * (x.ndim - 2)
    x = jnp.take_along_axis(x, order.reshape(batch, length, *tail), axis=1)
    chunk = -(-length // -(-length // CHUNK))  # as many as needed, of one size
    x = jnp.pad(x, [(0, 0), (0, -length % chunk)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(batch, -1, chunk, *x.shape[2:]).swapaxes(0, 1)
