"""One decoder layer, in Flax NNX: attention and MLP, with what `Architecture` says of a family."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vcjax.models import rope
from vcjax.models.architecture import Architecture
from vcjax.models.bits import saveable
from vcjax.models.experts import Weights, mix_experts
from vcjax.models.linear import linear
from vcjax.models.lora import AdapterParam, LoRA, init_a
from vcjax.models.mixture import ExpertProjections, Router
from vcjax.sharding import constrain

PyTree = Any

# The logical axes of a projection's inputs and outputs; `sharding.py` maps them to the mesh.
PROJECTION_AXES = {
    "q": ("embed", "heads"),
    "k": ("embed", "heads"),
    "v": ("embed", "heads"),
    "o": ("heads", "embed"),
    "gate": ("embed", "mlp"),
    "up": ("embed", "mlp"),
    "down": ("mlp", "embed"),
}
ACTIVATIONS = {"silu": jax.nn.silu, "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True)}


class Projection(nnx.Module):
    """y = x W, plus scale (x A) B where there is an adapter."""

    def __init__(self, name: str, architecture: Architecture, lora: LoRA | None, rngs: nnx.Rngs):
        inputs, outputs = architecture.projections[name]
        in_axis, out_axis = PROJECTION_AXES[name]
        self.lora, self.axes = lora, (in_axis, out_axis)
        self.kernel = nnx.Param(
            nnx.initializers.lecun_normal()(rngs.params(), (inputs, outputs)),
            logical=(in_axis, out_axis),
        )
        has_bias = architecture.qkv_bias and name in ("q", "k", "v")
        self.bias = nnx.Param(jnp.zeros(outputs), logical=(out_axis,)) if has_bias else None
        if lora is not None:
            self.a = AdapterParam(
                init_a(rngs.params(), (inputs, lora.rank)), logical=(in_axis, "rank")
            )
            self.b = AdapterParam(jnp.zeros((lora.rank, outputs)), logical=("rank", out_axis))

    def __call__(self, x: jax.Array) -> jax.Array:
        adapter = () if self.lora is None else (self.lora.scale * self.a[...], self.b[...])
        y = linear(x, self.kernel[...], self.axes, adapter)
        return y if self.bias is None else y + self.bias[...].astype(y.dtype)


class RMSNorm(nnx.Module):
    """Root-mean-square norm over the last axis, computed in float32."""

    def __init__(self, size: int, architecture: Architecture):
        self.scale = nnx.Param(untrained_scale(size, architecture), logical=("norm",))
        self.architecture = architecture

    def __call__(self, x: jax.Array) -> jax.Array:
        return rms_norm(x, scale_of(self.scale[...], self.architecture), self.architecture.norm_eps)


def untrained_scale(size: int, architecture: Architecture) -> jax.Array:
    """float32[size]: the weights of a norm that scales nothing."""
    return jnp.zeros(size) if architecture.one_plus_norm else jnp.ones(size)


def scale_of(weight: jax.Array, architecture: Architecture) -> jax.Array:
    """What a norm scales by, from its weights."""
    return 1 + weight if architecture.one_plus_norm else weight


def rms_norm(x: jax.Array, scale: jax.Array, eps: float) -> jax.Array:
    """x: [..., embed] over its root mean square, times scale: float32[embed]; in the type of x."""
    y = x.astype(jnp.float32)
    y *= jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + eps)
    return (y * scale).astype(x.dtype)


class Block(nnx.Module):
    """One decoder layer: x + attention(x), then x + mlp(x), each with its norms."""

    def __init__(self, architecture: Architecture, lora: LoRA | None, rngs: nnx.Rngs):
        self.architecture = architecture
        for name, size in architecture.norm_sizes.items():
            setattr(self, name, RMSNorm(size, architecture))
        for name in architecture.projections:
            kind = ExpertProjections if architecture.is_of_experts(name) else Projection
            setattr(self, name, kind(name, architecture, lora, rngs))
        if architecture.experts is not None:
            self.router = Router(architecture, rngs)

    def __call__(
        self, x: jax.Array, angles: tuple[jax.Array, jax.Array] | None, attend: Callable
    ) -> tuple[jax.Array, PyTree]:
        """x: [batch, length, embed]; angles: of `rope.angles`, None for a layer without positions.

        attend: attention with its mask, (q, k, v) -> (the shape of q, what to keep).
        """
        x = saveable(x, "input")
        y, kept = self.attention(x, angles, attend)
        x = self.add(x, y, "after_attention_norm", "middle")
        if self.architecture.norms == "before":
            x = saveable(x, "middle")
        return self.add(x, self.mlp(x), "after_mlp_norm", "down"), kept

    def attention(self, x, angles, attend):
        y = self.normed(x, "attention_norm")
        q, k, v = (self.heads(getattr(self, name)(y), name) for name in ("q", "k", "v"))
        if angles is not None:
            q, k = rope.rotate(q, *angles), rope.rotate(k, *angles)
        if self.architecture.attention_scale is not None:  # `attend` divides by the other
            q = q * (self.architecture.attention_scale * self.architecture.head_dim**0.5)
        group = self.architecture.num_heads // self.architecture.num_kv_heads
        y, kept = attend(q.reshape(len(x), -1, group, *q.shape[2:]), k, v)
        y = y.reshape(q.shape).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        return self.o(y), kept

    def heads(self, x: jax.Array, name: str) -> jax.Array:
        """[batch, length, heads x size] -> [batch, heads, length, size], normalised where the
        family does; saveable by `name`, before the norm."""
        norm = f"{name}_norm"
        all_as_one = (
            self.architecture.qk_norm == "projection" and norm in self.architecture.norm_sizes
        )
        if all_as_one:
            # A TPU would otherwise turn it, and its gradient, in float32: twice the bytes.
            x = jax.lax.optimization_barrier(self.normed(saveable(x, name), norm))
        batch, length, _ = x.shape
        x = x.reshape(batch, length, -1, self.architecture.head_dim).swapaxes(1, 2)
        return x if all_as_one else self.normed(saveable(x, name), norm)

    def mlp(self, x):
        y = self.normed(x, "mlp_norm")
        if self.architecture.experts is not None:
            weights = Weights(self.gate.weights, self.up.weights, self.down.weights)
            return mix_experts(y, *self.router(y), weights)
        gate, up = saveable(self.gate(y), "gate"), saveable(self.up(y), "up")
        activation = ACTIVATIONS[self.architecture.activation]
        y = activation(gate.astype(jnp.float32)) * up.astype(jnp.float32)
        return self.down(y.astype(x.dtype))

    def normed(self, x, norm):
        return getattr(self, norm)(x) if norm in self.architecture.norm_sizes else x

    def add(self, x, y, norm, name):
        """x and what comes out of attention or MLP; where that has a norm, y is saveable by `name`
        before it."""
        if norm in self.architecture.norm_sizes:
            y = getattr(self, norm)(saveable(y, name))
        if self.architecture.residual_multiplier != 1:
            y = y * self.architecture.residual_multiplier
        return constrain(x + y, "batch", "length", "embed")
