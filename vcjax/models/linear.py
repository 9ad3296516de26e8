"""A matmul whose weights lie in pieces over the devices that share the batch (ZeRO-3, FSDP).

The compiler left to itself sums a weight's gradient whole on every device before each keeps its
piece. Here the pieces are gathered in the compute type just before they are used, again in the
backward pass, and gradients are summed to where their piece lies (reduce-scatter), in the compute
type too: what a device adds is rounded once, which halves what travels.

Over a tensor axis a device keeps its part of the heads or of the MLP and adds its product to those
of the others (Megatron-LM, arXiv 1909.08053), rounded likewise.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models.bits import kept, kept_in_rule
from vcjax.models.einsum import dot, einsum

W, A, B = 0, 1, 2  # the weights of a projection, in this order


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
        inner = kept(einsum("bli,ir->blr", x, a, x.dtype), "inner")
        # So it is added where the large matmul ends, not in another pass over both.
        y += jax.lax.optimization_barrier(einsum("blr,ro->blo", inner, b, x.dtype))
    return y


@dataclasses.dataclass(frozen=True)
class Layout:
    """What lies on which mesh axes.

    batch, length: the first two dimensions of activations. weights: each one's two dimensions;
    those over axes of the batch are gathered to be used. inputs, outputs: these dimensions of w,
    and of the activations there, over other axes (tensor parallel): a device has its part alone.
    """

    batch: tuple[str, ...]
    length: tuple[str, ...]
    weights: tuple[PartitionSpec, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _layout(x_shape, weights, axes) -> Layout | None:
    """None where w is not in pieces over the batch's axes."""
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return None
    batch = sharding.axes_of("batch", x_shape[0], mesh)
    logical = (axes, (axes[0], "rank"), ("rank", axes[1]))
    specs = tuple(
        sharding.spec(names, w.shape, mesh) for names, w in zip(logical, weights, strict=False)
    )
    of_w = [sharding.axes_in(entry) for entry in specs[W]]
    if not any(set(axes) & set(batch) for axes in of_w):
        return None
    inputs, outputs = (() if set(axes) <= set(batch) else axes for axes in of_w)
    return Layout(batch, sharding.axes_of("length", x_shape[1], mesh), specs, inputs, outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sharded(x, weights, layout):
    return _forward(x, weights, layout)[0]


def _forward(x, weights, layout):
    if len(weights) == 1:
        return _times((x,), weights, (W,), layout), (x, None, weights)
    w, a, b = weights
    inner = kept_in_rule(_times((x,), (a,), (A,), layout), "inner")
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
    Where devices have parts of what is summed over, they add up the product with w. That with an
    adapter's half alone is left as each one's own (side by side it is `rank` for each of them):
    what it is multiplied with next is added up.
    """
    spec, axis = ("blo,io->bli", 1) if turned else ("bli,io->blo", 0)
    summed, kept = (layout.outputs, layout.inputs)[:: 1 if turned else -1]
    whole = W in which

    def on_one_device(xs, weights):
        gathered = [_gather(w, xs[0].dtype, layout, n) for w, n in zip(weights, which, strict=True)]
        left, right = jnp.concatenate(xs, axis=-1), jnp.concatenate(gathered, axis=axis)
        product = dot(spec, left, right).astype(left.dtype)
        return jax.lax.psum(product, summed) if whole and summed else product

    specs = (_activations(layout, summed),) * len(xs), tuple(layout.weights[n] for n in which)
    result = _activations(layout, kept if whole else summed)
    return _on_each_device(on_one_device, specs, result)(xs, weights)


def _gradient(x, g, w, which, layout):
    """Of a weight that x is multiplied with, where g is the gradient of the product."""
    ours = layout.weights[which]
    # Where x is an adapter's inner value, or g its gradient, each device has its own; see `_times`.
    apart = {W: (), A: layout.outputs, B: layout.inputs}[which]

    def on_one_device(x, g):
        # Else what x and g were computed from is computed again for every tile of the matmul.
        x, g = jax.lax.optimization_barrier((x, g))
        piece = dot("bli,blo->io", x, g).astype(x.dtype)
        others = {*layout.batch, *layout.length, *apart}
        for dimension, entry in enumerate(ours):
            if axes := _gathered(entry, layout):
                piece = jax.lax.psum_scatter(piece, axes, scatter_dimension=dimension, tiled=True)
                others -= {*axes}
        return (jax.lax.psum(piece, tuple(others)) if others else piece).astype(w.dtype)

    specs = _activations(layout, layout.inputs), _activations(layout, layout.outputs)
    return _on_each_device(on_one_device, specs, ours)(x, g)


def _gather(w, dtype, layout, which):
    w = w.astype(dtype)
    for dimension, entry in enumerate(layout.weights[which]):
        if axes := _gathered(entry, layout):
            w = jax.lax.all_gather(w, axes, axis=dimension, tiled=True)
    return w


def _gathered(entry, layout) -> tuple[str, ...]:
    """The axes of a weight's dimension, where they are those of the batch."""
    axes = sharding.axes_in(entry)
    return axes if set(axes) <= set(layout.batch) else ()


def _activations(layout, last):
    return PartitionSpec(layout.batch, layout.length, last)


def _on_each_device(function, in_specs, out_specs):
    return jax.shard_map(function, in_specs=in_specs, out_specs=out_specs, check_vma=False)
