"""The one contraction: operands in the compute type, results accumulated in float32, backward too.

JAX's own transpose of a bfloat16 dot with a float32 result multiplies a float32 cotangent with a
bfloat16 operand, which runs at the float32 rate (half of bfloat16's on a CPU with AVX512-BF16, a
fraction of it on a TPU). So the backward pass is written here, with the cotangent rounded to the
compute type.
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
    """`jnp.einsum`, accumulated in float32. float32 operands are multiplied as what they are.

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
    # A CPU copies a transposed operand: without the barriers by computing again what it comes
    # from, in strides, and always the larger one.
    a, g = jax.lax.optimization_barrier((a.astype(compute_dtype), g))
    if a.size > g.size:
        turned = dot(f"{out},{left}->{right[::-1]}", g, a)
        grad_b = jnp.transpose(jax.lax.optimization_barrier(turned))
    else:
        grad_b = dot(f"{left},{out}->{right}", a, g)
    return grad_a, grad_b.astype(b.dtype)


einsum.defvjp(_forward, _backward)


def native_compute_dtype() -> str:
    """The fastest type that this machine multiplies: bfloat16 where it has units for it.

    Intel's AVX512-BF16 is none: without AMX, float32 was 1.7 times as fast on an Emerald Rapids,
    where an AMD Zen 4 takes bfloat16 twice as fast as float32.
    """
    if jax.default_backend() != "cpu":
        return "bfloat16"
    try:
        cpu = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return "float32"
    zen4 = "AuthenticAMD" in cpu and "avx512_bf16" in cpu
    return "bfloat16" if zen4 or "amx_bf16" in cpu else "float32"
