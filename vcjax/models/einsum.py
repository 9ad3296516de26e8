"""einsum with operands in the compute type, accumulated in float32, in the backward pass too.

Of a bfloat16 dot with a float32 result, JAX's own backward pass multiplies a float32 cotangent by a
bfloat16 operand, at the float32 rate (half of bfloat16's on a CPU with AVX512-BF16, a fraction of
it on a TPU). Here the cotangent is rounded to the compute type first.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3, 4))
def einsum(spec: str, a: jax.Array, b: jax.Array, compute_dtype, out_dtype=None) -> jax.Array:
    """`jnp.einsum(spec, a, b)` of two operands; every index must occur in two of the three terms.

    The result has `out_dtype` (default: the compute type); gradients have the type of the operand,
    so float32 master weights get float32 gradients that were never rounded.
    """
    return dot(spec, a.astype(compute_dtype), b.astype(compute_dtype)).astype(
        out_dtype or compute_dtype
    )


def dot(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """`jnp.einsum`, accumulated in float32; float32 operands are multiplied in float32.

    By default a GPU would round them to TF32 (10 bits), a TPU to bfloat16 (7 bits).
    """
    exact = jax.lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    return jnp.einsum(spec, a, b, precision=exact, preferred_element_type=jnp.float32)


def _forward(spec, a, b, compute_dtype, out_dtype):
    return einsum(spec, a, b, compute_dtype, out_dtype), (a, b)


def _backward(spec, compute_dtype, out_dtype, residuals, cotangent):
    del out_dtype
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    a, b = residuals
    g = cotangent.astype(compute_dtype)
    grad_a = dot(f"{out},{right}->{left}", g, b.astype(compute_dtype)).astype(a.dtype)
    # A CPU copies an operand to transpose it. The order below makes it the smaller one; without
    # the barriers the copy would compute the operand again, element by element in strides.
    a, g = jax.lax.optimization_barrier((a.astype(compute_dtype), g))
    if a.size > g.size:
        turned = dot(f"{out},{left}->{right[::-1]}", g, a)
        grad_b = jnp.transpose(jax.lax.optimization_barrier(turned))
    else:
        grad_b = dot(f"{left},{out}->{right}", a, g)
    return grad_a, grad_b.astype(b.dtype)


einsum.defvjp(_forward, _backward)


def native_compute_dtype() -> str:
    """The type in which this machine multiplies fastest: bfloat16 where it has units for it.

    Intel's AVX512-BF16 does not count: on an Emerald Rapids float32 was 1.7 times as fast as
    bfloat16 without AMX. On an AMD Zen 4 bfloat16 is twice as fast as float32.
    """
    if jax.default_backend() != "cpu":
        return "bfloat16"
    try:
        cpu = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return "float32"
    zen4 = "AuthenticAMD" in cpu and "avx512_bf16" in cpu
    return "bfloat16" if zen4 or "amx_bf16" in cpu else "float32"
