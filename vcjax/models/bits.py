"""bfloat16 arrays stored as uint16 of the same bits, for CPUs.

Up to JAX 0.10, the last version for Python 3.11, XLA has no slices of bfloat16 on a CPU: it
converts the whole array to float32, reads or writes the slice, and converts the whole array back.
For arrays stacked over the layers (weights, residuals of the backward pass) that happens once a
layer: a third of an update's time at 30 layers. Activations are stored so on CPUs only: on a TPU it
costs up to 2 % where they are offloaded to the host.
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


def saveable(x: jax.Array, name: str) -> jax.Array:
    """x under a name by which a remat policy saves it; in a forward rule use the one below."""
    return _saveable_bits(x, name) if _on_cpu() else checkpoint_name(x, name)


def saveable_in_rule(x: jax.Array, name: str) -> jax.Array:
    """The same for the forward rule of a `custom_vjp`, which would hide the name; no derivative."""
    return _named_bits(x, name) if _on_cpu() else checkpoint_name(x, name)


def _on_cpu() -> bool:
    device = jax.sharding.get_abstract_mesh().abstract_device
    return (jax.default_backend() if device is None else device.device_kind) == "cpu"


def _named_bits(x, name):
    return from_bits(checkpoint_name(to_bits(x), name))


_saveable_bits = jax.custom_vjp(_named_bits, nondiff_argnums=(1,))
_saveable_bits.defvjp(
    lambda x, name: (_named_bits(x, name), None),
    lambda name, residuals, g: (g,),
)
