"""bfloat16 as its bits where it is only stored, for a CPU.

There XLA has no slices of bfloat16 up to JAX 0.10, the last version for Python 3.11. It converts
all of an array to float32, reads or writes the slice, and converts all of it back: the weights of
all layers, and what all layers keep for the backward pass, once a layer (a third of an update's
time at 30 layers). On a TPU bits in place of numbers cost up to 2 % where they go to the host.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name


def to_bits(x: Any) -> Any:
    """bfloat16 as uint16 of the same bits, all else as it is."""
    return x.view(np.uint16) if x.dtype == jnp.bfloat16 else x


def from_bits(x: jax.Array) -> jax.Array:
    """uint16 as the bfloat16 of these bits, all else as it is."""
    return jax.lax.bitcast_convert_type(x, jnp.bfloat16) if x.dtype == jnp.uint16 else x


def kept(x: jax.Array, name: str) -> jax.Array:
    """x, which a remat policy can name; not for forward rules, where the name would be hidden."""
    return _kept_as_bits(x, name) if _on_cpu() else checkpoint_name(x, name)


def kept_in_rule(x: jax.Array, name: str) -> jax.Array:
    """The same in the forward rule of a `custom_vjp`; it has no derivative."""
    return _named_bits(x, name) if _on_cpu() else checkpoint_name(x, name)


def _on_cpu() -> bool:
    device = jax.sharding.get_abstract_mesh().abstract_device
    return (jax.default_backend() if device is None else device.device_kind) == "cpu"


def _named_bits(x, name):
    return from_bits(checkpoint_name(to_bits(x), name))


_kept_as_bits = jax.custom_vjp(_named_bits, nondiff_argnums=(1,))
_kept_as_bits.defvjp(
    lambda x, name: (_named_bits(x, name), None),
    lambda name, residuals, g: (g,),
)
