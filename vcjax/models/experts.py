"""A mixture of experts: each token goes through the few MLPs that a router chooses for it.

Tokens are sorted by expert, so that all of an expert's are multiplied at once; no token is dropped,
and none depends on where others go. Over a tensor axis a device has some of the experts whole and
computes the tokens that go to these; products are summed over the devices. Over the axes of the
batch weights are gathered just before they are used, as in `linear.py`; where the rows are not
sharded over them, as of a single token of each text, weights stay and activations travel.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from vcjax import sharding
from vcjax.models import collectives
from vcjax.models.grouped import grouped_matmul

AXES = {  # logical axes
    "gate": ("experts", "embed", "mlp"),
    "up": ("experts", "embed", "mlp"),
    "down": ("experts", "mlp", "embed"),
}


class Weights(NamedTuple):
    """Of all experts: each (w,) or, with an adapter, (w, a, b).

    w: [experts, inputs, outputs]; a: [experts, inputs, rank]; b: [experts, rank, outputs]. Arrays,
    gradients or PartitionSpecs.
    """

    gate: tuple[Any, ...]
    up: tuple[Any, ...]
    down: tuple[Any, ...]


def route(
    logits: jax.Array, experts_per_token: int, normalised: bool
) -> tuple[jax.Array, jax.Array]:
    """(weights float32[..., experts_per_token], experts int32 of the same shape) of each token.

    logits: [..., experts]. The most probable experts with their probabilities, normalised: divided
    by their sum, as in `transformers`' Qwen3MoeTopKRouter.
    """
    odds = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)
    odds, chosen = jax.lax.top_k(odds, experts_per_token)
    return odds / odds.sum(axis=-1, keepdims=True) if normalised else odds, chosen


def mix_experts(x: jax.Array, odds: jax.Array, chosen: jax.Array, weights: Weights) -> jax.Array:
    """The weighted sum of the chosen experts' MLPs, in the shape and type of x.

    x: [batch, length, embed]; odds, chosen: of `route`. What an expert computes is not saved for
    the backward pass. Gradients have the type of their operand.
    """
    return _mix(x, odds, weights, chosen, _layout(x.shape, weights))


@dataclasses.dataclass(frozen=True)
class Layout:
    """The mesh axes that each dimension is sharded over, () where it is whole.

    embed: of x and of the result, () where weights are gathered. experts, mlp: of the weights.
    """

    weights: Weights  # of PartitionSpecs
    batch: tuple[str, ...] = ()
    length: tuple[str, ...] = ()
    embed: tuple[str, ...] = ()
    experts: tuple[str, ...] = ()
    mlp: tuple[str, ...] = ()

    @property
    def tokens(self) -> PartitionSpec:
        """Of odds and chosen."""
        return PartitionSpec(self.batch, self.length, None)

    @property
    def activations(self) -> PartitionSpec:
        """Of x and of the result."""
        return PartitionSpec(self.batch, self.length, self.embed)

    @property
    def spread(self) -> tuple[str, ...]:
        """The axes over which the sum over experts is spread."""
        return self.experts + self.mlp


def _layout(x_shape: tuple[int, ...], weights: Weights) -> Layout:
    mesh = sharding.mesh_in_use()
    if mesh is None:
        return Layout(jax.tree.map(lambda _: PartitionSpec(), weights))
    batch = sharding.axes_of("batch", x_shape[0], mesh)
    stored = sharding.spec(AXES["gate"], weights.gate[0].shape, mesh)
    experts, embed, mlp = map(sharding.axes_in, stored)
    experts = tuple(axis for axis in experts if mesh.shape[axis] > 1)
    stay = {*embed} - {*batch}
    rank = None if stay else "rank"

    def specs(name, arrays):
        first, inputs, outputs = AXES[name]
        names = (first, inputs, outputs), (first, inputs, rank), (first, rank, outputs)
        return tuple(sharding.spec(n, x.shape, mesh) for n, x in zip(names, arrays, strict=False))

    return Layout(
        Weights(**{name: specs(name, arrays) for name, arrays in weights._asdict().items()}),
        batch,
        sharding.axes_of("length", x_shape[1], mesh),
        embed if stay else (),
        experts,
        mlp,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _mix(x, odds, weights, chosen, layout):
    def on_one_device(x, odds, weights, chosen):
        part = _of_own_experts(x, odds, _gather(weights, x.dtype, layout), chosen, layout)
        return collectives.add(part, layout.spread)

    in_specs = layout.activations, layout.tokens, layout.weights, layout.tokens
    mapped = collectives.on_each_device(on_one_device, in_specs, layout.activations)
    return mapped(x, odds, weights, chosen)


def _forward(x, odds, weights, chosen, layout):
    return _mix(x, odds, weights, chosen, layout), (x, odds, weights, chosen)


def _backward(layout, residuals, g):
    specs = layout.activations, layout.tokens, layout.weights

    def on_one_device(x, odds, weights, chosen, g):
        whole = _gather(weights, x.dtype, layout)
        of_chosen = functools.partial(_of_own_experts, chosen=chosen, layout=layout)
        grad_x, grad_odds, grad_weights = jax.vjp(of_chosen, x, odds, whole)[1](g)
        scatter = functools.partial(collectives.scatter_gradient, batch=layout.batch)
        grads = grad_x, grad_odds, jax.tree.map(scatter, grad_weights, layout.weights)
        total = functools.partial(_total, layout=layout)
        return jax.tree.map(total, grads, specs, (x, odds, weights))

    in_specs = *specs, layout.tokens, layout.activations
    mapped = collectives.on_each_device(on_one_device, in_specs, specs)
    return *mapped(*residuals, g), None


_mix.defvjp(_forward, _backward)


def _of_own_experts(x, odds, weights, chosen, layout):
    """What this device's experts add to the sum: the shape of x."""
    count, each = len(weights.gate[0]), chosen.shape[-1]
    tokens = x.reshape(-1, x.shape[-1])
    # Those of other devices come last, after all groups.
    own = chosen.ravel()
    if layout.experts:
        own -= count * jax.lax.axis_index(layout.experts)
        own = jnp.where((own >= 0) & (own < count), own, count)
    order = jnp.argsort(own)
    place = jnp.argsort(order)
    sizes = (own[:, None] == jnp.arange(count)).sum(axis=0)
    is_own = jnp.arange(len(order)) < sizes.sum()

    def mine(y):
        return jnp.where(is_own[:, None], y, 0) if layout.experts else y

    def project(y, projection):
        w, *adapter = projection
        out = grouped_matmul(y, w, sizes)
        if adapter:
            a, b = adapter
            out += grouped_matmul(grouped_matmul(y, a, sizes), b, sizes)
        return out

    rows = mine(_take(tokens, order // each, place))
    # Each device has the sum over its part of `embed`, in the backward pass likewise.
    gate, up = (collectives.add(project(rows, w), layout.embed) for w in (weights.gate, weights.up))
    # Weighted before the last matmul, so that the backward pass does not need its result.
    weight = mine(_take(odds.reshape(-1, 1), order, place))
    inner = jax.nn.silu(gate.astype(jnp.float32)) * up.astype(jnp.float32) * weight
    y = mine(project(inner.astype(x.dtype), weights.down))
    parts = _take(y, place, order).reshape(len(tokens), each, -1)
    return parts.astype(jnp.float32).sum(axis=1).astype(x.dtype).reshape(x.shape)


@jax.custom_vjp
def _take(x, index, back):
    """x[index], which takes each row equally often, and whose rows `back` puts in the order of x.

    So the backward pass gathers, too; a TPU scatters one row after the other.
    """
    return x[index]


def _take_forward(x, index, back):
    return x[index], (back, len(x))


def _take_backward(residuals, g):
    back, rows = residuals
    g = g[back].reshape(rows, -1, g.shape[-1])
    return g.astype(jnp.float32).sum(axis=1).astype(g.dtype), None, None


_take.defvjp(_take_forward, _take_backward)


def _gather(weights, dtype, layout):
    def whole(w, spec):
        return collectives.gather_weight(w.astype(dtype), spec, layout.batch)

    return jax.tree.map(whole, weights, layout.weights)


def _total(grad, spec, like, layout):
    """A gradient summed over the devices that have a part of it, in the type of its operand."""
    sharded = {axis for entry in spec for axis in sharding.axes_in(entry)}
    every = (*layout.batch, *layout.length, *layout.embed, *layout.spread)
    return collectives.add(grad, [a for a in every if a not in sharded]).astype(like.dtype)
