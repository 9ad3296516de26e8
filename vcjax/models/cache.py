"""The keys and values of the tokens that texts have so far: one slot a text.

Stored as `bits.to_bits`. On a mesh, slots lie as rows of a batch do and heads as those of weights.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from vcjax import sharding
from vcjax.models.bits import from_bits, to_bits
from vcjax.models.collectives import on_each_device
from vcjax.models.transformer import Model

AXES = (None, "layer", "batch", "heads", None, None)  # of k and v, as `sharding.RULES` has them
_ROW_MAJOR = Layout(tuple(range(len(AXES))))


class Cache(NamedTuple):
    """Each [arm, layer, slot, kv_head, length, head_dim]; or what stands for it: shape, place."""

    k: Any
    v: Any


class Places(NamedTuple):
    """Where texts go in the cache, int32[texts] each. A slot that does not exist takes nothing."""

    arm: Any
    slot: Any
    position: Any  # of the first token


def empty(model: Model, arms: int, slots: int, length: int) -> Cache:
    """A cache for texts of at most `length` tokens, on the mesh in use."""
    architecture = model.architecture
    heads, size = architecture.num_kv_heads, architecture.head_dim
    shape = (arms, architecture.num_layers, slots, heads, length, size)

    @jax.jit
    def zeros() -> Cache:
        x = sharding.constrain(to_bits(jnp.zeros(shape, model.compute_dtype)), *AXES)
        return Cache(x, x)

    return zeros()


def of_layer(cached: jax.Array, layer: jax.Array, seen: int) -> jax.Array:
    """The first `seen` tokens: [slot, kv_head, seen, head_dim] of k or v of one arm."""
    sizes = (1, *cached.shape[1:3], seen, cached.shape[4])
    return from_bits(jax.lax.dynamic_slice(cached, (layer, 0, 0, 0, 0), sizes)[0])


def write(cache: Cache, new: Cache, source: jax.Array, places: Places) -> Cache:
    """The cache with tokens of texts in their places, in the same memory.

    new: each [layer, sources, kv_head, tokens, head_dim]; source: int32[texts], which of them a
    text takes.
    """
    new = Cache(*map(to_bits, new))
    mesh = sharding.mesh_in_use()
    of_cache = jax.P(*[None] * 6) if mesh is None else sharding.spec(AXES, cache.k.shape, mesh)
    of_new = jax.P(None, None, of_cache[3])
    slot_axes = sharding.axes_in(of_cache[2])

    def on_one_device(cache, new, source, places):
        """One text after the other, in the order of memory that the cache has. For a scatter, or
        left to itself, a TPU's compiler copies the cache into another order and back."""
        slots = cache.k.shape[2]
        first = slots * jax.lax.axis_index(slot_axes) if slot_axes else 0

        def write_text(text, cache):
            slot = places.slot[text] - first
            here = (slot >= 0) & (slot < slots)
            start = places.arm[text], 0, slot, 0, places.position[text], 0

            def put(cached, new):
                tokens = jax.lax.dynamic_index_in_dim(new, source[text], axis=1)[None]
                before = jax.lax.dynamic_slice(cached, start, tokens.shape)
                after = jnp.where(here, tokens, before)
                after = jax.lax.dynamic_update_slice(cached, after, start)
                return with_layout_constraint(after, _ROW_MAJOR)

            return Cache(*map(put, cache, new))

        return jax.lax.fori_loop(0, len(source), write_text, cache)

    in_specs = Cache(of_cache, of_cache), Cache(of_new, of_new), jax.P(), Places(*[jax.P()] * 3)
    return on_each_device(on_one_device, in_specs, Cache(of_cache, of_cache))(
        cache, new, source, places
    )
