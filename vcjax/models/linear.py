"""A matmul whose weights lie in pieces over the devices that share the batch (ZeRO-3, FSDP).

The compiler left to itself sums a weight's gradient whole on every device before each keeps its
piece. Here the pieces are gathered in the compute type just before they are used, again in the
backward pass, and gradients are summed to where their piece lies (reduce-scatter), in the compute
type too: what a device adds is rounded once, which halves what travels.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models.einsum import einsum


def linear(x: jax.Array, w: jax.Array, axes: tuple[str, str]) -> jax.Array:
    """x: [batch, length, inputs] times w: [inputs, outputs], in the type of x.

    axes: the logical axes of w. Gradients have the type of their operand.
    """
    layout = _layout(x.shape, w.shape, axes)
    if layout is None:
        return einsum("bli,io->blo", x, w, x.dtype)
    return _sharded(x, w, layout)


def _layout(x_shape, w_shape, axes):
    """(mesh axes of the batch, of the weight's pieces, dimension of w in pieces); None: not so."""
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return None
    batch = sharding.axes_of("batch", x_shape[0], mesh)
    for dimension, (name, size) in enumerate(zip(axes, w_shape, strict=True)):
        pieces = sharding.axes_of(name, size, mesh)
        if pieces and set(pieces) <= set(batch):
            return batch, pieces, dimension
    return None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sharded(x, w, layout):
    def product(x, w):
        return jnp.einsum(
            "bli,io->blo", x, _gather(w, x.dtype, layout), preferred_element_type=jnp.float32
        ).astype(x.dtype)

    return _on_pieces(product, layout, "xw", "x")(x, w)


def _forward(x, w, layout):
    return _sharded(x, w, layout), (x, w)


def _backward(layout, residuals, g):
    x, w = residuals
    batch, pieces, dimension = layout

    def grad_x(g, w):
        return jnp.einsum(
            "blo,io->bli", g, _gather(w, g.dtype, layout), preferred_element_type=jnp.float32
        ).astype(x.dtype)

    def grad_w(x, g):
        # Else what x and g were computed from is computed again for every tile of the matmul.
        x, g = jax.lax.optimization_barrier((x, g))
        partial = jnp.einsum("bli,blo->io", x, g, preferred_element_type=jnp.float32)
        partial = partial.astype(x.dtype)
        piece = jax.lax.psum_scatter(partial, pieces, scatter_dimension=dimension, tiled=True)
        others = tuple(axis for axis in batch if axis not in pieces)
        return (jax.lax.psum(piece, others) if others else piece).astype(w.dtype)

    # Apart from each other: that of a frozen weight is not asked for, and drops out.
    return _on_pieces(grad_x, layout, "xw", "x")(g, w), _on_pieces(grad_w, layout, "xx", "w")(x, g)


_sharded.defvjp(_forward, _backward)


def _gather(w, dtype, layout):
    _, pieces, dimension = layout
    return jax.lax.all_gather(w.astype(dtype), pieces, axis=dimension, tiled=True)


def _on_pieces(function, layout, operands: str, result: str):
    """Runs function on what each device holds of activations ("x") and weights ("w")."""
    batch, pieces, dimension = layout
    specs = {
        "x": PartitionSpec(batch),
        "w": PartitionSpec(*[None] * dimension, pieces),
    }
    return jax.shard_map(
        function,
        in_specs=tuple(specs[operand] for operand in operands),
        out_specs=specs[result],
        axis_names={*batch, *pieces},
        check_vma=False,
    )
