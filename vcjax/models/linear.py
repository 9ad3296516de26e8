"""A matmul whose weights are sharded over the devices that share the batch (ZeRO-3, FSDP).

The compiler left to itself sums a weight's gradient whole on every device before each keeps its
shard. Here shards are gathered in the compute type just before they are used, again in the backward
pass, and gradients are reduce-scattered, in the compute type too: what a device adds is rounded
once, which halves what travels.

Over a tensor axis a device keeps its part of the heads or of the MLP, and products are summed over
the devices (Megatron-LM, arXiv 1909.08053), rounded likewise.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models import collectives
from vcjax.models.bits import saveable, saveable_in_rule
from vcjax.models.einsum import dot, einsum


def linear(
    x: jax.Array, w: jax.Array, axes: tuple[str, str], adapter: tuple[jax.Array, ...] = ()
) -> jax.Array:
    """x: [batch, length, inputs] times w: [inputs, outputs], in the type of x.

    axes: the logical axes of w. adapter: a: [inputs, rank] and b: [rank, outputs], whose x a b is
    added; a remat policy can name x a "inner". Gradients have the type of their operand.
    """
    layout = _layout(x.shape, (w, *adapter), axes)
    if layout is not None:
        return _sharded(x, Weights(w, *adapter), layout)
    y = einsum("bli,io->blo", x, w, x.dtype)
    if adapter:
        a, b = adapter
        inner = saveable(einsum("bli,ir->blr", x, a, x.dtype), "inner")
        # So it is added where the large matmul ends, not in another pass over both.
        y += jax.lax.optimization_barrier(einsum("blr,ro->blo", inner, b, x.dtype))
    return y


class Weights(NamedTuple):
    """Of one projection, a and b with an adapter only: arrays, gradients or PartitionSpecs."""

    w: Any
    a: Any = None
    b: Any = None


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mesh axes that each dimension is sharded over, () where it is whole.

    batch, length: the first two dimensions of activations. inputs, outputs: the last dimension of
    x and of x w, sharded under tensor parallelism. weights: their PartitionSpecs; a weight is
    gathered over axes of the batch before use, not over those of inputs and outputs.
    """

    batch: tuple[str, ...]
    length: tuple[str, ...]
    weights: Weights
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def activations(self, last: tuple[str, ...]) -> PartitionSpec:
        """Of [batch, length, last]."""
        return PartitionSpec(self.batch, self.length, last)


def _layout(x_shape, weights, axes) -> Layout | None:
    """None where w is not sharded over axes of the batch."""
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return None
    batch = sharding.axes_of("batch", x_shape[0], mesh)
    logical = (axes, (axes[0], "rank"), ("rank", axes[1]))
    specs = Weights(
        *(sharding.spec(names, w.shape, mesh) for names, w in zip(logical, weights, strict=False))
    )
    of_w = [sharding.axes_in(entry) for entry in specs.w]
    if not any({*axes} & {*batch} for axes in of_w):
        return None
    inputs, outputs = (() if {*axes} <= {*batch} else axes for axes in of_w)
    return Layout(batch, sharding.axes_of("length", x_shape[1], mesh), specs, inputs, outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sharded(x, weights, layout):
    return _forward(x, weights, layout)[0]


def _forward(x, weights, layout):
    w, a, b = zip(weights, layout.weights, strict=True)
    if weights.a is None:
        return _matmul((x,), (w,), layout), (x, None, weights)
    inner = saveable_in_rule(_matmul((x,), (a,), layout, partial=True), "inner")
    return _matmul((inner, x), (b, w), layout), (x, inner, weights)


def _backward(layout, residuals, g):
    x, inner, weights = residuals
    w, a, b = zip(weights, layout.weights, strict=True)
    # A call of its own for each gradient: where a weight is frozen, the compiler drops it.
    grad_w = _gradient(x, g, w, layout)
    if inner is None:
        return _matmul((g,), (w,), layout, transposed=True), Weights(grad_w)
    grad_inner = _matmul((g,), (b,), layout, transposed=True, partial=True)
    grad_x = _matmul((grad_inner, g), (a, w), layout, transposed=True)
    grad_a = _gradient(x, grad_inner, a, layout, partial=layout.outputs)
    grad_b = _gradient(inner, g, b, layout, partial=layout.inputs)
    return grad_x, Weights(grad_w, grad_a, grad_b)


_sharded.defvjp(_forward, _backward)


def _matmul(xs, weights, layout, transposed=False, partial=False):
    """concat(xs) @ concat(weights), so that x w + inner b is one matmul, without a sum in memory.

    weights: (array, PartitionSpec) each. transposed: the weights are, for the backward pass. Under
    tensor parallelism the product is summed over devices. partial: it is not; each device has its
    partial sum (in the global array they are side by side), which the next matmul's sum covers.
    """
    if transposed:
        formula, axis, contracted, result = "blo,io->bli", 1, layout.outputs, layout.inputs
    else:
        formula, axis, contracted, result = "bli,io->blo", 0, layout.inputs, layout.outputs
    arrays, specs = zip(*weights, strict=True)

    def on_one_device(xs, arrays):
        whole = [
            collectives.gather_weight(w.astype(xs[0].dtype), spec, layout.batch)
            for w, spec in zip(arrays, specs, strict=True)
        ]
        left, right = jnp.concatenate(xs, axis=-1), jnp.concatenate(whole, axis=axis)
        product = dot(formula, left, right).astype(left.dtype)
        return product if partial else collectives.add(product, contracted)

    in_specs = (layout.activations(contracted),) * len(xs), specs
    out_spec = layout.activations(contracted if partial else result)
    return collectives.on_each_device(on_one_device, in_specs, out_spec)(xs, arrays)


def _gradient(x, g, weight, layout, partial=()):
    """The gradient of a weight, (array, PartitionSpec), from its input x and its output's gradient.

    partial: the axes over which x or g is a partial sum of `_matmul`.
    """
    w, spec = weight

    def on_one_device(x, g):
        # Else what x and g were computed from is computed again for every tile of the matmul.
        x, g = jax.lax.optimization_barrier((x, g))
        grad = dot("bli,blo->io", x, g).astype(x.dtype)
        grad = collectives.scatter_gradient(grad, spec, layout.batch)
        done = {axis for _, axes in collectives.over_batch(spec, layout.batch) for axis in axes}
        others = [a for a in (*layout.batch, *layout.length, *partial) if a not in done]
        return collectives.add(grad, others).astype(w.dtype)

    in_specs = layout.activations(layout.inputs), layout.activations(layout.outputs)
    return collectives.on_each_device(on_one_device, in_specs, spec)(x, g)
