"""The output head and its loss, only where tokens have weight, in chunks, over the vocabulary.

No [batch, length, vocab] array exists in training: within each row the weighted tokens are moved to
the front, then chunks of them meet the head one after the other, and a chunk without weight is
skipped at run time. The gradient is computed together with the loss while a chunk's logits are at
hand (as in Liger's fused linear cross-entropy, arXiv 2410.10989), so logits are made once.

On several devices each holds a part of the vocabulary and never more of the head: it meets the
chunks of all that share the other parts, and sums go over the parts (as in Megatron-LM's parallel
cross-entropy, arXiv 1909.08053). So a chunk's activations travel, not the head or its gradient.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models.einsum import einsum

CHUNK = 128  # positions of each row a chunk, at most


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mesh axes that rows and the vocabulary are cut over; () on one device."""

    rows: tuple[str, ...] = ()
    vocab: tuple[str, ...] = ()

    @property
    def shared(self) -> tuple[str, ...]:
        """Over these, devices meet each other's rows with their part of the vocabulary."""
        return tuple(axis for axis in self.rows if axis in self.vocab)

    @property
    def apart(self) -> tuple[str, ...]:
        """Over these, devices with the same part of the vocabulary have other rows."""
        return tuple(axis for axis in self.rows if axis not in self.vocab)


def negative_log_likelihood(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[batch, length]: weight x -log p(target), 0 without weight; not differentiable.

    hidden: [batch, length, embed]; head: [vocab, embed]; targets: int32[batch, length];
    weights: float32[batch, length].
    """
    layout = _layout(hidden, head)

    def on_one_device(hidden, head, targets, weights):
        def chunk(x, target, weight):
            x, target, weight = (_gather(y, layout) for y in (x, target, weight))
            return _own_rows(
                _log_likelihood(x, head, target, weight, compute_dtype, layout)[0], layout
            )

        order = _weighted_first(weights)

        def chunk_or_zeros(_, c):
            skip = lambda x, target, weight: jnp.zeros_like(weight)  # noqa: E731
            return None, jax.lax.cond(_any_weight(c[2], layout), chunk, skip, *c)

        _, losses = jax.lax.scan(
            chunk_or_zeros, None, tuple(_chunks(x, order) for x in (hidden, targets, weights))
        )
        losses = losses.swapaxes(0, 1).reshape(weights.shape[0], -1)[:, : weights.shape[1]]
        return jnp.zeros_like(weights).at[jnp.arange(len(weights))[:, None], order].set(losses)

    rows = PartitionSpec(layout.rows)
    return _on_each_device(on_one_device, layout, rows)(hidden, head, targets, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def summed_loss(hidden, head, targets, weights, compute_dtype) -> jax.Array:
    """float32[]: the sum over all tokens of weight x -log p(target). Arguments as above.

    A head that trains is float32 (master weights), and so is its gradient.
    """
    return negative_log_likelihood(hidden, head, targets, weights, compute_dtype).sum()


def _forward(hidden, head, targets, weights, compute_dtype):
    # `perturbed` says whether the head trains: a frozen one gets no gradient and costs none.
    head_trains = head.perturbed
    layout = _layout(hidden.value, head.value)

    def on_one_device(hidden, head, targets, weights):
        def add_chunk(carry, x, target, weight):
            total, grad_head = carry
            x, target, weight = (_gather(y, layout) for y in (x, target, weight))
            loss, logits, log_z, is_target = _log_likelihood(
                x, head, target, weight, compute_dtype, layout
            )
            grad = (jnp.exp(logits - log_z) - is_target) * weight[..., None]
            grad_x = einsum("bcv,vd->bcd", grad, head, compute_dtype, jnp.float32)
            grad_x = _scatter(grad_x, layout).astype(hidden.dtype)
            if head_trains:
                grad_head += einsum("bcv,bcd->vd", grad, x, compute_dtype, jnp.float32)
            return (total + loss.sum(), grad_head), grad_x

        def add(carry, c):
            skip = lambda carry, x, *_: (carry, jnp.zeros_like(x))  # noqa: E731
            return jax.lax.cond(_any_weight(c[2], layout), add_chunk, skip, carry, *c)

        order = _weighted_first(weights)
        zeros = (jnp.zeros(()), jnp.zeros(head.shape) if head_trains else ())
        (loss, grad_head), grads = jax.lax.scan(
            add, zeros, tuple(_chunks(x, order) for x in (hidden, targets, weights))
        )
        grads = grads.swapaxes(0, 1).reshape(hidden.shape[0], -1, hidden.shape[2])
        grads = grads[:, : hidden.shape[1]]
        grad_hidden = jnp.take_along_axis(grads, jnp.argsort(order)[..., None], axis=1)
        loss, grad_head = jax.tree.map(lambda x: _sum(x, layout.apart), (loss, grad_head))
        return loss, (grad_hidden, grad_head)

    rows, vocab = PartitionSpec(layout.rows), PartitionSpec(layout.vocab)
    results = PartitionSpec(), (rows, vocab if head_trains else ())
    return _on_each_device(on_one_device, layout, results)(
        hidden.value, head.value, targets.value, weights.value
    )


def _backward(compute_dtype, residuals, cotangent):
    del compute_dtype
    grad_hidden, grad_head = residuals
    grad_hidden = (grad_hidden * cotangent).astype(grad_hidden.dtype)
    grad_head = grad_head * cotangent if isinstance(grad_head, jax.Array) else None
    return grad_hidden, grad_head, None, None


summed_loss.defvjp(_forward, _backward, symbolic_zeros=True)


def _layout(hidden: jax.Array, head: jax.Array) -> Layout:
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return Layout()
    return Layout(
        sharding.axes_of("batch", len(hidden), mesh), sharding.axes_of("classes", len(head), mesh)
    )


def _on_each_device(function, layout: Layout, results):
    """function(hidden, head, targets, weights) on each device's rows and part of the vocabulary."""
    if layout == Layout():
        return function
    rows, vocab = PartitionSpec(layout.rows), PartitionSpec(layout.vocab)
    return jax.shard_map(
        function, in_specs=(rows, vocab, rows, rows), out_specs=results, check_vma=False
    )


def _gather(x: jax.Array, layout: Layout) -> jax.Array:
    """The rows [batch, ...] of all devices that share the vocabulary."""
    return jax.lax.all_gather(x, layout.shared, axis=0, tiled=True) if layout.shared else x


def _scatter(x: jax.Array, layout: Layout) -> jax.Array:
    """Sums what each part of the vocabulary adds, for each device its own rows."""
    x = _sum(x, tuple(axis for axis in layout.vocab if axis not in layout.shared))
    if not layout.shared:
        return x
    return jax.lax.psum_scatter(x, layout.shared, scatter_dimension=0, tiled=True)


def _own_rows(x: jax.Array, layout: Layout) -> jax.Array:
    if not layout.shared:
        return x
    rows = len(x) // jax.lax.axis_size(layout.shared)
    start = jax.lax.axis_index(layout.shared) * rows
    return jax.lax.dynamic_slice_in_dim(x, start, rows)


def _sum(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    return jax.lax.psum(x, axes) if axes else x


def _log_likelihood(x, head, target, weight, compute_dtype, layout):
    """Of one chunk [batch, chunk]: (weighted loss, logits float32, log of the normaliser, hits).

    logits and hits (whether a token is the target): [batch, chunk, part of the vocabulary].
    """
    logits = einsum("bcd,vd->bcv", x, head, compute_dtype, jnp.float32)
    highest = logits.max(axis=-1, keepdims=True)
    first = 0
    if layout.vocab:
        highest = jax.lax.pmax(highest, layout.vocab)
        first = jax.lax.axis_index(layout.vocab) * len(head)
    total = _sum(jnp.exp(logits - highest).sum(axis=-1, keepdims=True), layout.vocab)
    log_z = highest + jnp.log(total)
    is_target = first + jnp.arange(len(head)) == target[..., None]
    picked = _sum(jnp.where(is_target, logits, 0).sum(axis=-1), layout.vocab)
    return (log_z[..., 0] - picked) * weight, logits, log_z, is_target


def _any_weight(weight: jax.Array, layout: Layout) -> jax.Array:
    """Whether a token of the chunk has weight; devices that meet each other's rows agree.

    Else one would skip a chunk and the others would wait for ever.
    """
    return _sum(jnp.any(weight != 0).astype(jnp.int32), layout.shared) > 0


def _weighted_first(weights: jax.Array) -> jax.Array:
    """int32[batch, length]: positions of each row, those with weight first, order kept."""
    return jnp.argsort(weights == 0, axis=1, stable=True)


def _chunks(x: jax.Array, order: jax.Array) -> jax.Array:
    """[batch, length, ...] in the given order, padded with zeros -> [chunks, batch, CHUNK, ...]."""
    batch, length = order.shape
    tail = (1,) * (x.ndim - 2)
    x = jnp.take_along_axis(x, order.reshape(batch, length, *tail), axis=1)
    chunk = -(-length // -(-length // CHUNK))  # as many as needed, of one size
    x = jnp.pad(x, [(0, 0), (0, -length % chunk)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(batch, -1, chunk, *x.shape[2:]).swapaxes(0, 1)
