"""The decoder: a block of `models/block.py`, stacked and scanned in plain JAX.

`models/architecture.py` says what a family's block has; layers that differ follow a pattern, and
the scan runs over whole periods of it.

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

from vcjax.models import attention, kernels, rope
from vcjax.models.architecture import Architecture
from vcjax.models.bits import from_bits
from vcjax.models.block import Block, rms_norm, scale_of, untrained_scale
from vcjax.models.lora import AdapterParam, LoRA, joined, scaled, with_random_b
from vcjax.models.remat import SAVED
from vcjax.sharding import constrain

PyTree = Any
# (q, k, v, the layer's window, its number) -> (the shape of q, what to keep of the layer)
Attend = Callable[
    [jax.Array, jax.Array, jax.Array, int | None, jax.Array], tuple[jax.Array, PyTree]
]

# By the names of `remat.SAVED`; the input of each block is stored beside them.
_save = jax.checkpoint_policies.save_only_these_names
REMAT_POLICIES = {
    **{remat: _save("input", *names) for remat, names in SAVED.items()},
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["middle"],
        names_which_can_be_offloaded=["input", "attended", "down", "q", "k", "v", "inner"],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "none": jax.checkpoint_policies.everything_saveable,
}


@dataclasses.dataclass(frozen=True)
class Model:
    """Everything static about a forward pass; hashable, so `jax.jit` can close over it."""

    architecture: Architecture
    lora: LoRA | None
    compute_dtype: str  # "bfloat16" or "float32"
    remat: str  # a key of REMAT_POLICIES
    attention: str = "xla"  # a kernel of `models/kernels.py`, for packed documents


def saved_values(architecture: Architecture, rank: int, remat: str) -> int:
    """How many values a token a block saves for the backward pass, its input included.

    rank: of the adapters, 0 without. Of experts nothing is saved. The policy "none" saves some
    more.
    """
    projections = architecture.projections.items()
    own = {name: size for name, (_, size) in projections if not architecture.is_of_experts(name)}
    sizes = dict.fromkeys(("gate", "up"), 0) | own
    sizes |= {"attended": sizes["q"], "middle": architecture.embed_dim}
    if architecture.norms == "before":
        sizes["down"] = 0
    sizes["inner"] = rank * len(own)
    return architecture.embed_dim + sum(sizes[name] for name in SAVED[remat])


def recomputed(architecture: Architecture, remat: str) -> set[str]:
    """The projections that the backward pass computes again.

    It needs `down`'s output only where there is a norm after it.
    """
    needed = {"q", "k", "v", "gate", "up"} | ({"down"} if architecture.norms != "before" else set())
    again = needed.difference(SAVED[remat])
    again |= {name for name in needed if architecture.is_of_experts(name)}
    return again if "middle" in SAVED[remat] else again | {"o"}


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
        "norm": untrained_scale(architecture.embed_dim, architecture),
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
    in_trees = "seen_until" in batch
    visible = {
        window: attention.visible_in_trees(batch["seen_until"], batch["positions"], window)
        for window in ({layer.window for layer in model.architecture.period} if in_trees else ())
    }

    def attend(q, k, v, window, _):
        if in_trees:
            return attention.attend(q, k, v, visible[window]), None
        ids = batch["segment_ids"]
        return kernels.attend_in_documents(
            q, k, v, ids, model.attention, max_documents, window
        ), None

    return through_layers(params, base, batch["tokens"], batch["positions"], model, attend)[0]


def through_layers(
    params: PyTree,
    base: PyTree,
    tokens: jax.Array,
    positions: jax.Array,
    model: Model,
    attend: Attend,
) -> tuple[jax.Array, PyTree]:
    """The decoder without its head, with any attention.

    tokens, positions: int32[batch, length]. Returns [batch, length, embed] in the compute type,
    after the last norm and over `logit_divisor`, so that the head gives logits, and what `attend`
    keeps, stacked [layer, ...].
    """
    weights, architecture = {**base, **params}, model.architecture
    graphdef = _abstract_block(model)[0]
    ropes = dict.fromkeys(layer.rope for layer in architecture.period)
    angles = {r: r and rope.angles(positions, r, architecture.head_dim) for r in ropes}

    if "beside" in weights:
        assert model.lora is not None
        weights["beside"] = scaled(weights["beside"], 1 / model.lora.scale)
    stacked = {name: weights[name] for name in ("adapter", "beside", "blocks") if name in weights}
    frozen = {}
    if len(architecture.period) > 1:
        # What is frozen is read where it lies: the whole periods of it would be a copy. What trains
        # is scanned over, so that its gradient comes stacked.
        frozen = {name: stacked.pop(name) for name in [*stacked] if name not in params}

    def layer(x, kind, scanned, number):
        at = lambda w: jax.lax.dynamic_index_in_dim(w, number, keepdims=False)  # noqa: E731
        here = jax.tree.map(from_bits, {**scanned, **jax.tree.map(at, frozen)})
        adapter = here.get("adapter", {})
        if "beside" in here:
            adapter = joined(adapter, here["beside"])
        in_layer = lambda q, k, v: attend(q, k, v, kind.window, number)  # noqa: E731
        return nnx.merge(graphdef, adapter, here["blocks"])(x, angles[kind.rope], in_layer)

    x = weights["embed"][tokens].astype(model.compute_dtype)
    if architecture.embedding_multiplier != 1:
        x *= jnp.asarray(architecture.embedding_multiplier, x.dtype)
    x = constrain(x, "batch", "length", "embed")
    x, kept = _scan_layers(layer, x, stacked, architecture, REMAT_POLICIES[model.remat])
    scale = scale_of(weights["norm"], architecture)
    if architecture.logit_divisor != 1:
        scale = scale / architecture.logit_divisor
    return rms_norm(x, scale, architecture.norm_eps), kept


def _scan_layers(layer, x, stacked, architecture, policy):
    """`lax.scan` over the layers, or over whole periods of them and then the rest one by one.

    layer: (x, its kind, its part of `stacked`, its number) -> (x, what to keep). Returns (x, what
    is kept, stacked [layer, ...]).
    """
    period, count = architecture.period, architecture.num_layers
    stacked = stacked, jnp.arange(count)

    def one(kind, place, x, states):
        if place is not None:  # in the period
            states = jax.tree.map(lambda s: s[place], states)
        return layer(x, kind, *states)

    def remat(kind, place, prevent_cse):
        function = functools.partial(one, kind, place)
        return jax.checkpoint(function, policy=policy, prevent_cse=prevent_cse)

    if len(period) == 1:
        return jax.lax.scan(remat(period[0], None, prevent_cse=False), x, stacked)

    def in_turn(x, states, prevent_cse):
        """The first layers of a period; states: [layers, ...]."""
        kept = []
        for place, kind in enumerate(period[: len(states[1])]):
            x, of_layer = remat(kind, place, prevent_cse)(x, states)
            kept.append(of_layer)
        return x, jax.tree.map(lambda *k: jnp.stack(k), *kept)

    whole = count - count % len(period)
    in_periods = jax.tree.map(lambda s: s[:whole].reshape(-1, len(period), *s.shape[1:]), stacked)
    x, kept = jax.lax.scan(functools.partial(in_turn, prevent_cse=False), x, in_periods)
    kept = jax.tree.map(lambda k: k.reshape(whole, *k.shape[2:]), kept)
    if whole == count:
        return x, kept
    # Outside the scan the compiler would otherwise undo the recomputation.
    x, of_rest = in_turn(x, jax.tree.map(lambda s: s[whole:], stacked), prevent_cse=True)
    return x, jax.tree.map(lambda *k: jnp.concatenate(k), kept, of_rest)


def head_weight(params: PyTree, base: PyTree) -> jax.Array:
    """[vocab, embed]: the output matrix; the embeddings where they are tied."""
    weights = {**base, **params}
    return weights.get("head", weights["embed"])
