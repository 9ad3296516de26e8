"""Rows in groups, each times its own matrix: as a plain loop has it, by both ways to compute it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vcjax.models.grouped import grouped_matmul

SIZES = {
    "even": [10, 10, 10, 10],
    "ragged": [3, 0, 36, 1],
    "one group": [0, 0, 40, 0],
    "rows left over": [2, 17, 0, 9],
    "none": [0, 0, 0, 0],
    "more than a block": [300, 5, 129, 128],
}


def arrays(sizes, inputs=6, outputs=5, dtype=np.float32):
    draw = np.random.default_rng(0)
    rows = max(sum(sizes), 40)
    shapes = (rows, inputs), (len(sizes), inputs, outputs), (rows, outputs)
    x, w, g = (jnp.asarray(draw.standard_normal(shape), dtype) for shape in shapes)
    # What lies after the last group has no part in the result.
    return x, w, jnp.where(jnp.arange(rows)[:, None] < sum(sizes), g, 0)


def in_a_loop(x, w, sizes):
    parts, start = [], 0
    for size, matrix in zip(sizes, w, strict=True):
        parts.append(x[start : start + size] @ matrix)
        start += size
    return jnp.concatenate([*parts, jnp.zeros((len(x) - start, w.shape[2]))])


def by_ragged_dot(x, w, sizes):
    return jax.lax.ragged_dot(x, w, jnp.array(sizes))


def ours(x, w, sizes):
    return grouped_matmul(x, w, jnp.array(sizes))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("other", [in_a_loop, by_ragged_dot])
def test_products_and_gradients(name, other):
    sizes = SIZES[name]
    x, w, g = arrays(sizes)
    total = sum(sizes)

    def computed(product):
        """The product's and x's gradient's rows in groups, and w's gradient."""
        y, pull = jax.vjp(lambda x, w: product(x, w, sizes), x, w)
        grad_x, grad_w = pull(g)
        return y[:total], grad_x[:total], grad_w

    found, expected = (jax.jit(computed, static_argnums=0)(p) for p in (ours, other))
    for mine, true in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_accumulated_in_float32():
    sizes = [600, 40]
    x, w, g = arrays(sizes, inputs=256, dtype=jnp.bfloat16)

    @functools.partial(jax.jit, static_argnums=0)
    def computed(product, x, w, g):
        y, pull = jax.vjp(lambda x, w: product(x, w, sizes), x, w)
        return y, *pull(g)

    found = computed(ours, x, w, g)
    assert {y.dtype for y in found} == {jnp.dtype("bfloat16")}
    wide = computed(in_a_loop, *(y.astype(jnp.float32) for y in (x, w, g)))
    for mine, exact in zip(found, wide, strict=True):  # rounded once
        np.testing.assert_allclose(mine.astype(jnp.float32), exact, rtol=2**-7, atol=1e-2)


def test_a_gradient_has_the_type_of_its_operand():
    x, w, _ = arrays([20, 20], dtype=jnp.bfloat16)
    grad = jax.grad(lambda w: ours(x, w, [20, 20]).astype(jnp.float32).sum())
    assert jax.eval_shape(grad, w.astype(jnp.float32)).dtype == jnp.float32


def test_several_at_once_are_each_alone():
    """As arms that sample together: rows and sizes of their own, one set of matrices."""
    sizes = jnp.array([[3, 36, 1], [20, 0, 20]])
    x, w, _ = arrays([0, 0, 0])
    both = jax.jit(jax.vmap(grouped_matmul, (0, None, 0)))(jnp.stack([x, -x]), w, sizes)
    for found, rows, size in zip(both, (x, -x), sizes, strict=True):
        np.testing.assert_allclose(found, grouped_matmul(rows, w, size), rtol=1e-5, atol=1e-6)
