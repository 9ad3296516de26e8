"""One update, as pure functions: state, loss, optimizer, step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from ml_collections import ConfigDict

from vcjax.models import head, transformer
from vcjax.models.transformer import Model

PyTree = Any


class TrainState(struct.PyTreeNode):
    """What trains, and nothing else."""

    step: jax.Array  # int32[]: updates done, which is also the data's position
    params: PyTree  # the adapter, or all weights in full fine-tuning; float32
    opt_state: optax.OptState


def init_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first update."""
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def learning_rates(recipe: ConfigDict, updates: int, warmup: int) -> np.ndarray:
    """float32[updates]: linear warm-up from 0, cosine or linear decay to 0 after the last update.

    The same as `get_cosine_schedule_with_warmup` and `get_linear_schedule_with_warmup` of
    transformers: the first update of a warm-up has rate 0.
    """
    decay = {
        "cosine": optax.cosine_decay_schedule,
        "linear": lambda peak, steps: optax.linear_schedule(peak, 0.0, steps),
    }[recipe.schedule]
    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, recipe.lr, max(warmup, 1)), decay(recipe.lr, updates - warmup)],
        [warmup],
    )
    return np.asarray(schedule(np.arange(updates)), np.float32)


def make_optimizer(recipe: ConfigDict) -> optax.GradientTransformation:
    """Clipping by global norm, then AdamW with decay on matrices only (not on norms or biases).

    Its updates are yet to be multiplied by the learning rate, which is no part of the program, so
    that stages of other lengths and rates share one.
    """

    def is_matrix(path, _):
        names = [getattr(key, "key", "") for key in path]
        return not any("norm" in name or name == "bias" for name in names)

    return optax.chain(
        optax.clip_by_global_norm(recipe.clip),
        optax.scale_by_adam(b1=recipe.b1, b2=recipe.b2, eps=recipe.eps),
        optax.add_decayed_weights(
            recipe.weight_decay,
            mask=lambda params: jax.tree_util.tree_map_with_path(is_matrix, params),
        ),
    )


def summed_loss(
    params: PyTree, base: PyTree, micro: dict, model: Model, max_documents: int = 0
) -> jax.Array:
    """float32[]: the sum of weight x -log p over a micro-batch {name: [rows, length]}.

    max_documents: a bound on the documents of a row, for attention (`models/kernels.py`).
    """
    x = transformer.hidden(params, base, micro, model, max_documents)
    return head.summed_loss(
        x,
        transformer.head_weight(params, base),
        micro["targets"],
        micro["loss_weights"],
        model.compute_dtype,
    )


def train_step(
    state: TrainState,
    base: PyTree,
    batch: dict,
    lr: jax.Array,
    *,
    loss: Callable[[PyTree, PyTree, dict], jax.Array],
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, dict]:
    """One update.

    batch: tokens, targets, segment_ids, positions: int32[accumulation, rows, length], loss_weights:
    float32 of the same shape. lr: float32[], the learning rate. The loss is the mean over all
    weighted tokens of the whole batch, however it is cut into micro-batches, rows or devices.
    Returns (state, metrics).
    """

    def add(carry, micro):
        total, grads = jax.value_and_grad(loss)(state.params, base, micro)
        return jax.tree.map(jnp.add, carry, (total, grads, micro["loss_weights"].sum())), None

    zero = jnp.zeros(())
    zeros = (zero, jax.tree.map(jnp.zeros_like, state.params), zero)
    (total, grads, weight), _ = jax.lax.scan(add, zeros, batch)
    weight = jnp.maximum(weight, 1e-9)  # no gradient where nothing has weight
    grads = jax.tree.map(lambda g: g / weight, grads)  # divide once, after everything is summed
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    metrics = {
        "loss": total / weight,
        "weighted_tokens": weight,
        "learning_rate": lr,
        "grad_norm": optax.tree.norm(grads),
    }
    params = optax.apply_updates(state.params, optax.tree.scale(-lr, updates))
    return TrainState(state.step + 1, params, opt_state), metrics
