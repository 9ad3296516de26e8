"""A matmul whose weights lie in pieces over the devices that share the batch (ZeRO-3, FSDP).

The compiler left to itself sums a weight's gradient whole on every device before each keeps its
piece. Here the pieces are gathered in the compute type just before they are used, again in the
backward pass, and gradients are summed to where their piece lies (reduce-scatter), in the compute
type too: what a device adds is rounded once, which halves what travels.
"""

import functools

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models.einsum import dot, einsum

W, A, B = 0, 1, 2  # the weights of a projection, in the order of `weights` and of a layout's pieces


def linear(
    x: jax.Array, w: jax.Array, axes: tuple[str, str], adapter: tuple[jax.Array, ...] = ()
) -> jax.Array:
    """x: [batch, length, inputs] times w: [inputs, outputs], in the type of x.

    axes: the logical axes of w. adapter: a: [inputs, rank] and b: [rank, outputs], whose x a b is
    added; a remat policy can name x a "inner". Gradients have the type of their operand.
    """
    layout = _layout(x.shape, (w, *adapter), axes)
    if layout is not None:
        return _sharded(x, (w, *adapter), layout)
    y = einsum("bli,io->blo", x, w, x.dtype)
    if adapter:
        a, b = adapter
        inner = checkpoint_name(einsum("bli,ir->blr", x, a, x.dtype), "inner")
        # So it is added where the large matmul ends, not in another pass over both.
        y += jax.lax.optimization_barrier(einsum("blr,ro->blo", inner, b, x.dtype))
    return y


def _layout(x_shape, weights, axes):
    """(mesh axes of the batch, each weight's (mesh axes, dimension) of its pieces).

    None where w is not in pieces; an adapter's may be (), whole on each device.
    """
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return None
    batch = sharding.axes_of("batch", x_shape[0], mesh)

    def pieces(names, shape):
        for dimension, (name, size) in enumerate(zip(names, shape, strict=True)):
            found = sharding.axes_of(name, size, mesh)
            if found and set(found) <= set(batch):
                return found, dimension
        return (), 0

    logical = (axes, (axes[0], "rank"), ("rank", axes[1]))
    found = tuple(pieces(names, w.shape) for names, w in zip(logical, weights, strict=False))
    return (batch, found) if found[W][0] else None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sharded(x, weights, layout):
    return _forward(x, weights, layout)[0]


def _forward(x, weights, layout):
    if len(weights) == 1:
        return _times((x,), weights, (W,), layout), (x, None, weights)
    w, a, b = weights
    inner = checkpoint_name(_times((x,), (a,), (A,), layout), "inner")
    return _times((inner, x), (b, w), (B, W), layout), (x, inner, weights)


def _backward(layout, residuals, g):
    x, inner, weights = residuals
    # Apart from each other: that of a frozen weight is not asked for, and drops out.
    grad_w = _gradient(x, g, weights[W], W, layout)
    if inner is None:
        return _times((g,), weights, (W,), layout, turned=True), (grad_w,)
    w, a, b = weights
    grad_inner = _times((g,), (b,), (B,), layout, turned=True)
    grad_x = _times((grad_inner, g), (a, w), (A, W), layout, turned=True)
    grad_a = _gradient(x, grad_inner, a, A, layout)
    return grad_x, (grad_w, grad_a, _gradient(inner, g, b, B, layout))


_sharded.defvjp(_forward, _backward)


def _times(xs, weights, which, layout, turned=False):
    """The sum of the products of activations and weights, or of weights turned, in one matmul.

    Side by side, so that nothing is added up in memory; a TPU does that as it reads the operands.
    """
    batch, _ = layout
    spec, axis = ("blo,io->bli", 1) if turned else ("bli,io->blo", 0)

    def on_one_device(xs, weights):
        whole = [_gather(w, xs[0].dtype, layout, n) for w, n in zip(weights, which, strict=True)]
        left, right = jnp.concatenate(xs, axis=-1), jnp.concatenate(whole, axis=axis)
        return dot(spec, left, right).astype(left.dtype)

    specs = (PartitionSpec(batch),) * len(xs), tuple(_spec(layout, n) for n in which)
    return _on_each_device(on_one_device, layout, specs, PartitionSpec(batch))(xs, weights)


def _gradient(x, g, w, which, layout):
    """Of a weight that x is multiplied with, where g is the gradient of the product."""
    batch, pieces = layout
    axes, dimension = pieces[which]

    def on_one_device(x, g):
        # Else what x and g were computed from is computed again for every tile of the matmul.
        x, g = jax.lax.optimization_barrier((x, g))
        partial = dot("bli,blo->io", x, g)
        piece = partial.astype(x.dtype)
        if axes:
            piece = jax.lax.psum_scatter(piece, axes, scatter_dimension=dimension, tiled=True)
        others = tuple(axis for axis in batch if axis not in axes)
        return (jax.lax.psum(piece, others) if others else piece).astype(w.dtype)

    specs = (PartitionSpec(batch),) * 2
    return _on_each_device(on_one_device, layout, specs, _spec(layout, which))(x, g)


def _gather(w, dtype, layout, which):
    axes, dimension = layout[1][which]
    w = w.astype(dtype)
    return jax.lax.all_gather(w, axes, axis=dimension, tiled=True) if axes else w


def _spec(layout, which):
    axes, dimension = layout[1][which]
    return PartitionSpec(*[None] * dimension, axes)


def _on_each_device(function, layout, in_specs, out_specs):
    return jax.shard_map(
        function, in_specs=in_specs, out_specs=out_specs, axis_names={*layout[0]}, check_vma=False
    )
