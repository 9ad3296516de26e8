"""Matmuls of rows that lie in groups: each group is multiplied by a matrix of its own.

On a TPU `jax.lax.ragged_dot` is a grouped matmul. Elsewhere it multiplies all rows by all matrices
(nearly forty times as slow on a CPU, with 64 groups), so there a loop takes the rows in blocks,
each of one group.
"""

import jax
import jax.numpy as jnp
from jax.lax import RaggedDotDimensionNumbers

from vcjax.models.bits import from_bits, to_bits
from vcjax.models.einsum import dot

LARGEST_BLOCK, SMALLEST_BLOCK = 128, 8  # rows


@jax.custom_vjp
def grouped_matmul(x: jax.Array, w: jax.Array, sizes: jax.Array) -> jax.Array:
    """[rows, outputs], in the type of x, accumulated in float32, in the backward pass too.

    x: [rows, inputs], group after group; w: [groups, inputs, outputs]; sizes: int32[groups], the
    rows of each. Rows after the last group come out as anything. Under `jax.vmap` one product is
    computed after the other.
    """
    return _times(x, w.astype(x.dtype), sizes)


def _forward(x, w, sizes):
    return grouped_matmul(x, w, sizes), (x, w, sizes)


def _backward(residuals, g):
    x, w, sizes = residuals
    grad_x = _product(g, w.astype(g.dtype), sizes, transposed=True)
    return grad_x, _outer_product(x, g, sizes).astype(w.dtype), None


grouped_matmul.defvjp(_forward, _backward)


@jax.custom_batching.sequential_vmap
def _times(x, w, sizes):
    return _product(x, w, sizes, transposed=False)


def _product(x, w, sizes, transposed):
    """Rows times the matrix of their group, or times that matrix transposed."""
    inputs, outputs = (2, 1) if transposed else (1, 2)
    formula = "bo,io->bi" if transposed else "bi,io->bo"

    def at_once(x, w, sizes):
        contracted = ((1,), (inputs,)), ((), ())
        return _ragged_dot(x, w, sizes, RaggedDotDimensionNumbers(contracted, [0], [0]))

    def in_blocks(x, w, sizes):
        """A block's last rows may be of the next groups, whose own blocks come after it."""
        block = _block_size(x, sizes)
        # As bits: see `bits.py`.
        rows, weights = to_bits(jnp.pad(x, ((0, block), (0, 0)))), to_bits(w)

        def multiply(number, out):
            group, start, _ = _block(number, sizes, block)
            here = from_bits(jax.lax.dynamic_slice_in_dim(rows, start, block))
            matrix = from_bits(jax.lax.dynamic_index_in_dim(weights, group, keepdims=False))
            y = dot(formula, here, matrix).astype(x.dtype)
            return jax.lax.dynamic_update_slice_in_dim(out, to_bits(y), start, axis=0)

        out = jnp.zeros((len(rows), w.shape[outputs]), rows.dtype)
        out = jax.lax.fori_loop(0, _count(sizes, block), multiply, out)
        return from_bits(out)[: len(x)]

    return jax.lax.platform_dependent(x, w, sizes, tpu=at_once, default=in_blocks)


def _outer_product(x, g, sizes):
    """[groups, inputs, outputs]: the sum over a group's rows of x: [inputs] times g: [outputs]."""

    def at_once(x, g, sizes):
        contracted = ((0,), (0,)), ((), ())
        return _ragged_dot(x, g, sizes, RaggedDotDimensionNumbers(contracted, [0], []))

    def in_blocks(x, g, sizes):
        block = _block_size(x, sizes)
        left, right = (to_bits(jnp.pad(y, ((0, block), (0, 0)))) for y in (x, g))

        def add(number, out):
            group, start, end = _block(number, sizes, block)
            x_here, g_here = (
                from_bits(jax.lax.dynamic_slice_in_dim(y, start, block)) for y in (left, right)
            )
            own = start + jnp.arange(block) < end
            part = dot("bi,bo->io", x_here, jnp.where(own[:, None], g_here, 0))
            return out.at[group].add(part)

        out = jnp.zeros((len(sizes), x.shape[1], g.shape[1]), jnp.float32)
        return jax.lax.fori_loop(0, _count(sizes, block), add, out).astype(x.dtype)

    return jax.lax.platform_dependent(x, g, sizes, tpu=at_once, default=in_blocks)


def _ragged_dot(a, b, sizes, dimensions):
    """In the type of the operands: a TPU accumulates in float32 and rounds once."""
    exact = jax.lax.Precision.HIGHEST if a.dtype == jnp.float32 else None  # as in `einsum.dot`
    return jax.lax.ragged_dot_general(
        a, b, sizes, dimensions, precision=exact, preferred_element_type=a.dtype
    )


def _block_size(x: jax.Array, sizes: jax.Array) -> int:
    """Of about a group's rows: what a block has beyond them is computed for nothing."""
    return min(max(len(x) // len(sizes), SMALLEST_BLOCK), LARGEST_BLOCK)


def _count(sizes, block):
    """int32[]: the blocks of all groups."""
    return (-(-sizes // block)).sum()


def _block(number, sizes, block):
    """(group, first row, row after the group's last) of a block, int32[] each."""
    counts = -(-sizes // block)
    ends = jnp.cumsum(counts)
    group = (ends <= number).sum()
    end = jnp.cumsum(sizes)[group]
    before = number - (ends[group] - counts[group])  # blocks of the group before this one
    return group, end - sizes[group] + before * block, end
