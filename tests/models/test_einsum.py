"""Operands in the compute type, sums in float32, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vcjax.models import einsum as module
from vcjax.models.einsum import einsum

SPECS = {
    "bli,io->blo": ((2, 3, 5), (5, 4)),
    "bqkgh,bskh->bkgqs": ((2, 3, 2, 2, 4), (2, 5, 2, 4)),
    "bkgqs,bskh->bqkgh": ((2, 2, 2, 3, 5), (2, 5, 2, 4)),
    "bcv,bcd->vd": ((2, 3, 7), (2, 3, 4)),
}


def operands(spec, dtype=jnp.float32):
    draw = np.random.default_rng(0)
    return [jnp.asarray(draw.standard_normal(shape), dtype) for shape in SPECS[spec]]


def dots(function, *arguments):
    """(operand types, result type) of every matmul in the program of `function`."""
    found = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                types = [str(v.aval.dtype) for v in equation.invars]
                found.append((*types, str(equation.outvars[0].aval.dtype)))
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    visit(inner)

    visit(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


@pytest.mark.parametrize("spec", SPECS)
def test_in_float32_it_is_jnp_einsum_with_its_gradients(spec):
    a, b = operands(spec)
    cotangent = jnp.cos(jnp.arange(jnp.einsum(spec, a, b).size, dtype=jnp.float32))

    def scalar(product, a, b):
        out = product(a, b)
        return (out.ravel() * cotangent).sum(), out

    ours, theirs = (
        jax.value_and_grad(lambda a, b, p=p: scalar(p, a, b), argnums=(0, 1), has_aux=True)(a, b)
        for p in (lambda a, b: einsum(spec, a, b, "float32"), lambda a, b: jnp.einsum(spec, a, b))
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), ours, theirs)


@pytest.mark.parametrize("out_dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("spec", SPECS)
def test_bfloat16_operands_are_summed_in_float32_backward_too(spec, out_dtype):
    a, b = operands(spec)
    product = lambda a, b: einsum(spec, a, b, "bfloat16", out_dtype)  # noqa: E731
    assert product(a, b).dtype == out_dtype
    assert dots(product, a, b) == [("bfloat16", "bfloat16", "float32")]

    gradients = jax.grad(lambda a, b: product(a, b).astype(jnp.float32).sum(), argnums=(0, 1))
    assert dots(gradients, a, b) == [("bfloat16", "bfloat16", "float32")] * 3


def test_a_long_sum_is_not_rounded_on_the_way():
    ones = jnp.ones((1, 1, 4096), jnp.bfloat16)  # bfloat16 cannot count beyond 256
    out = einsum("bli,io->blo", ones, jnp.ones((4096, 1)), "bfloat16", jnp.float32)
    assert out.dtype == jnp.float32
    assert float(out[0, 0, 0]) == 4096


def test_gradients_have_the_type_of_their_operand():
    spec = "bli,io->blo"
    x, master = operands(spec)
    x = x.astype(jnp.bfloat16)
    grad_x, grad_master = jax.grad(
        lambda x, w: einsum(spec, x, w, "bfloat16", jnp.float32).sum(), argnums=(0, 1)
    )(x, master)
    assert grad_x.dtype == jnp.bfloat16
    assert grad_master.dtype == jnp.float32
    exact = jnp.broadcast_to(x.astype(jnp.float32).sum((0, 1))[:, None], master.shape)
    np.testing.assert_allclose(grad_master, exact, rtol=1e-6)  # never rounded to bfloat16


@pytest.mark.parametrize(
    ("vendor", "flags", "dtype"),
    [
        ("AuthenticAMD", "avx2 avx512_bf16", "bfloat16"),
        ("AuthenticAMD", "avx2", "float32"),
        ("GenuineIntel", "avx2 avx512_bf16", "float32"),
        ("GenuineIntel", "avx2 avx512_bf16 amx_bf16", "bfloat16"),
    ],
)
def test_the_fastest_type_of_a_cpu(vendor, flags, dtype, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"vendor_id : {vendor}\nflags : {flags}\n")
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "cpuinfo")
    assert module.native_compute_dtype() == dtype


def test_a_cpu_that_does_not_say_computes_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "missing")
    assert module.native_compute_dtype() == "float32"
