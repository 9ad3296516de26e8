"""A projection with and without an adapter; on several devices, `tests/test_sharding.py`."""

import jax
import numpy as np

from vcjax.models.linear import linear

AXES = ("embed", "mlp")


def arrays(*shapes, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_an_adapter_adds_its_product():
    x, w, a, b = arrays((2, 3, 8), (8, 5), (8, 2), (2, 5))
    np.testing.assert_allclose(linear(x, w, AXES), x @ w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        linear(x, w, AXES, (a, b)), x @ w + x @ (a @ b), rtol=1e-4, atol=1e-5
    )


def test_gradients_are_those_of_the_sum():
    x, w, a, b, g = arrays((2, 3, 8), (8, 5), (8, 2), (2, 5), (2, 3, 5))

    def loss(x, w, a, b):
        return (linear(x, w, AXES, (a, b)) * g).sum()

    value, gradients = jax.value_and_grad(loss, argnums=(0, 1, 2, 3))(x, w, a, b)
    np.testing.assert_allclose(value, (g * (x @ w + x @ a @ b)).sum(), rtol=1e-4)
    expected = (
        g @ w.T + g @ b.T @ a.T,
        np.einsum("bli,blo->io", x, g),
        np.einsum("bli,blr->ir", x, g @ b.T),
        np.einsum("blr,blo->ro", x @ a, g),
    )
    for found, true in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-5)
