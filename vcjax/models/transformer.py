"""The Llama decoder: one block in Flax NNX, stacked and scanned in plain JAX.

Weights are plain nested dicts of arrays:

    embed   [vocab, embed]                 float32 when it trains, the compute type when frozen
    blocks  {projection: {kernel}, norms}  the same, every leaf stacked [layer, ...]; see `to_bits`
    norm    [embed]
    head    [vocab, embed]                 absent where the embeddings are tied
    adapter {projection: {a, b}}           stacked [layer, ...]; absent without LoRA
    beside  {projection: {a, b}}           frozen adapters beside that one, as one whose scale is 1;
                                           absent where there are none

What trains is passed as `params`, what is frozen as `base`; functions take both.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vcjax.models import attention, kernels
from vcjax.models.architecture import Architecture
from vcjax.models.bits import from_bits, saveable
from vcjax.models.linear import linear
from vcjax.models.lora import AdapterParam, LoRA, init_a, joined, scaled, with_random_b
from vcjax.models.remat import SAVED
from vcjax.sharding import constrain

PyTree = Any
# (q, k, v, what belongs to the layer) -> (the shape of q, what to keep of the layer)
Attend = Callable[[jax.Array, jax.Array, jax.Array, PyTree], tuple[jax.Array, PyTree]]

# By the names of `remat.SAVED`; the input of each block is stored beside them.
_save = jax.checkpoint_policies.save_only_these_names
REMAT_POLICIES = {
    **{remat: _save("input", *names) for remat, names in SAVED.items()},
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["middle"],
        names_which_can_be_offloaded=["input", "attended", "q", "k", "v", "inner"],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "none": jax.checkpoint_policies.everything_saveable,
}

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


@dataclasses.dataclass(frozen=True)
class Model:
    """Everything static about a forward pass; hashable, so `jax.jit` can close over it."""

    architecture: Architecture
    lora: LoRA | None
    compute_dtype: str  # "bfloat16" or "float32"
    remat: str  # a key of REMAT_POLICIES
    attention: str = "xla"  # a kernel of `models/kernels.py`, for packed documents


def saved_values(architecture: Architecture, rank: int | None, remat: str) -> int:
    """How many values a token a block saves for the backward pass, its input included.

    rank: of the adapters, None without. The policy "none" saves some more.
    """
    sizes = {name: outputs for name, (_, outputs) in architecture.projections.items()}
    sizes |= {"attended": sizes["q"], "middle": architecture.embed_dim}
    sizes["inner"] = (rank or 0) * len(architecture.projections)
    return architecture.embed_dim + sum(sizes[name] for name in SAVED[remat])


def recomputed(remat: str) -> set[str]:
    """The projections that the backward pass computes again; it never needs `down`'s output."""
    again = {"q", "k", "v", "gate", "up"}.difference(SAVED[remat])
    return again if "middle" in SAVED[remat] else again | {"o"}


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

    def __init__(self, size: int, eps: float):
        self.scale = nnx.Param(jnp.ones(size), logical=("norm",))
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        return rms_norm(x, self.scale[...], self.eps)


def rms_norm(x: jax.Array, scale: jax.Array, eps: float) -> jax.Array:
    """x: [..., embed] over its root mean square, times scale: float32[embed]; in the type of x."""
    y = x.astype(jnp.float32)
    y *= jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + eps)
    return (y * scale).astype(x.dtype)


class Block(nnx.Module):
    """One decoder layer: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, architecture: Architecture, lora: LoRA | None, rngs: nnx.Rngs):
        self.architecture = architecture
        self.attention_norm = RMSNorm(architecture.embed_dim, architecture.norm_eps)
        self.mlp_norm = RMSNorm(architecture.embed_dim, architecture.norm_eps)
        if architecture.qk_norm:
            self.q_norm = RMSNorm(architecture.head_dim, architecture.norm_eps)
            self.k_norm = RMSNorm(architecture.head_dim, architecture.norm_eps)
        self.q, self.k, self.v, self.o, self.gate, self.up, self.down = (
            Projection(name, architecture, lora, rngs)
            for name in ("q", "k", "v", "o", "gate", "up", "down")
        )

    def __call__(
        self, x: jax.Array, cos: jax.Array, sin: jax.Array, attend: Callable
    ) -> tuple[jax.Array, PyTree]:
        """x: [batch, length, embed]; cos, sin: of `attention.rope_angles`.

        attend: attention with its mask, (q, k, v) -> (the shape of q, what to keep).
        """
        x = saveable(x, "input")
        y = self.attention_norm(x)
        q, k, v = (self.heads(getattr(self, name)(y), name) for name in ("q", "k", "v"))
        if self.architecture.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = attention.rotate(q, cos, sin), attention.rotate(k, cos, sin)
        group = self.architecture.num_heads // self.architecture.num_kv_heads
        y, kept = attend(q.reshape(len(x), -1, group, *q.shape[2:]), k, v)
        y = y.reshape(q.shape).swapaxes(1, 2).reshape(*x.shape[:2], -1)
        x = constrain(x + self.o(y), "batch", "length", "embed")
        x = saveable(x, "middle")
        y = self.mlp_norm(x)
        gate, up = saveable(self.gate(y), "gate"), saveable(self.up(y), "up")
        y = jax.nn.silu(gate.astype(jnp.float32)) * up.astype(jnp.float32)
        y = self.down(y.astype(x.dtype))
        return constrain(x + y, "batch", "length", "embed"), kept

    def heads(self, x: jax.Array, name: str) -> jax.Array:
        """[batch, length, heads x size] -> [batch, heads, length, size], saveable by `name`."""
        batch, length, _ = x.shape
        x = x.reshape(batch, length, -1, self.architecture.head_dim).swapaxes(1, 2)
        return saveable(x, name)


def _split_block(model: Model, key: jax.Array):
    return nnx.split(Block(model.architecture, model.lora, nnx.Rngs(key)), AdapterParam, nnx.Param)


def _abstract_block(model: Model):
    """(graphdef, adapter, base) of one block without its arrays."""
    return nnx.eval_shape(lambda: _split_block(model, jax.random.key(0)))


@functools.partial(jax.jit, static_argnames=("model", "start"))
def init_adapter(model: Model, key: jax.Array, start: str = "a") -> PyTree:
    """An untrained adapter, float32[layer, ...]; B is zero, so the model's output is unchanged.

    start: "b" for a random B and an A that is zero.
    """
    layer = lambda k: nnx.to_pure_dict(_split_block(model, k)[1])  # noqa: E731
    adapter = jax.vmap(layer)(jax.random.split(key, model.architecture.num_layers))
    return {"adapter": with_random_b(adapter, key) if start == "b" else adapter}


@functools.partial(jax.jit, static_argnames="model")
def init_weights(model: Model, key: jax.Array) -> PyTree:
    """Random weights to train all of, float32: matrices by `lecun_normal`, embeddings of standard
    deviation 0.02, norms 1."""
    architecture = model.architecture
    embed_key, head_key, key = jax.random.split(key, 3)
    layer = lambda k: nnx.to_pure_dict(_split_block(model, k)[2])  # noqa: E731
    size = (architecture.vocab_size, architecture.embed_dim)
    weights = {
        "embed": 0.02 * jax.random.normal(embed_key, size),
        "blocks": jax.vmap(layer)(jax.random.split(key, architecture.num_layers)),
        "norm": jnp.ones(architecture.embed_dim),
    }
    if not architecture.tied_embeddings:
        weights["head"] = 0.02 * jax.random.normal(head_key, size)
    return weights


def logical_axes(model: Model) -> PyTree:
    """The logical axes of every weight: the tree of the weights with a tuple of names a leaf."""
    _, adapter, blocks = _abstract_block(model)
    names = lambda v: ("layer", *v.get_metadata("logical"))  # noqa: E731
    outside = {"embed": ("vocab", "embed"), "norm": ("norm",), "head": ("classes", "embed")}
    return _tree(model, names, adapter, blocks, outside)


def weight_shapes(model: Model) -> PyTree:
    """The tree of the weights, with the shape of a float32 array a leaf."""
    _, adapter, blocks = _abstract_block(model)
    architecture = model.architecture
    of_size = lambda *size: jax.ShapeDtypeStruct(size, jnp.float32)  # noqa: E731
    embed = of_size(architecture.vocab_size, architecture.embed_dim)
    outside = {"embed": embed, "norm": of_size(architecture.embed_dim), "head": embed}
    return _tree(
        model, lambda v: of_size(architecture.num_layers, *v.shape), adapter, blocks, outside
    )


def trained_shapes(model: Model) -> PyTree:
    """The shapes of the weights that train: those of the adapter, or all."""
    shapes = weight_shapes(model)
    return shapes if model.lora is None else {"adapter": shapes["adapter"]}


def _tree(model: Model, leaf, adapter, blocks, outside: dict[str, Any]) -> PyTree:
    """The tree of the weights: leaf(variable) for those in a block, beside those outside."""

    def leaves(state):
        return jax.tree.map(
            leaf,
            nnx.to_pure_dict(state, lambda v: v),
            is_leaf=lambda v: isinstance(v, nnx.Variable),
        )

    tree = {**outside, "blocks": leaves(blocks)}
    if model.architecture.tied_embeddings:
        del tree["head"]
    if model.lora is not None:
        tree["adapter"] = leaves(adapter)
    return tree


def hidden(
    params: PyTree, base: PyTree, batch: dict, model: Model, max_documents: int = 0
) -> jax.Array:
    """The decoder without its head.

    batch: tokens, positions and, for the attention mask, segment_ids or seen_until (see
    `models/attention.py`), all int32[batch, length]. max_documents: as in `models/kernels.py`.
    Returns [batch, length, embed] in the compute type, after the last norm.
    """
    if "seen_until" in batch:
        mask = attention.visible_in_trees(batch["seen_until"])
        attend = functools.partial(attention.attend, mask=mask)
    else:
        attend = functools.partial(
            kernels.attend_in_documents,
            segment_ids=batch["segment_ids"],
            kernel=model.attention,
            max_documents=max_documents,
        )
    nothing_kept = lambda q, k, v, _: (attend(q, k, v), None)  # noqa: E731
    return through_layers(params, base, batch["tokens"], batch["positions"], model, nothing_kept)[0]


def through_layers(
    params: PyTree,
    base: PyTree,
    tokens: jax.Array,
    positions: jax.Array,
    model: Model,
    attend: Attend,
    of_layers: PyTree = None,
) -> tuple[jax.Array, PyTree]:
    """The decoder without its head, with any attention.

    tokens, positions: int32[batch, length]. of_layers: [layer, ...], of which `attend` is given
    each layer's. Returns [batch, length, embed] in the compute type, after the last norm, and what
    `attend` keeps, stacked [layer, ...].
    """
    weights = {**base, **params}
    graphdef = _abstract_block(model)[0]
    cos, sin = attention.rope_angles(positions, model.architecture)

    def layer(x, states):
        *weights, beside, of_layer = states
        adapter, base = jax.tree.map(from_bits, weights)
        block = nnx.merge(graphdef, joined(adapter, beside) if beside else adapter, base)
        return block(x, cos, sin, lambda q, k, v: attend(q, k, v, of_layer))

    layer = jax.checkpoint(layer, policy=REMAT_POLICIES[model.remat], prevent_cse=False)
    x = weights["embed"][tokens].astype(model.compute_dtype)
    x = constrain(x, "batch", "length", "embed")
    beside = weights.get("beside", {})
    if model.lora is not None:
        beside = scaled(beside, 1 / model.lora.scale)
    stacked = weights.get("adapter", {}), weights["blocks"], beside, of_layers
    x, kept = jax.lax.scan(layer, x, stacked)
    return rms_norm(x, weights["norm"], model.architecture.norm_eps), kept


def head_weight(params: PyTree, base: PyTree) -> jax.Array:
    """[vocab, embed]: the output matrix; the embeddings where they are tied."""
    weights = {**base, **params}
    return weights.get("head", weights["embed"])
