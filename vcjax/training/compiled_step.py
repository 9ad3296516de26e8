"""The train step as one compiled program on a mesh: what lies where, and what is donated."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.models import transformer
from vcjax.models.transformer import Model
from vcjax.training import train_step

PyTree = Any

OPTIMIZER = ("clip", "b1", "b2", "eps", "weight_decay")  # what `make_optimizer` reads of a recipe

TPU_OPTIONS: dict[str, str | bool] = {
    # A sharded matmul is one matmul beside its collective. The compiler's default above some size,
    # a loop of slices that adds up in memory ("windowed einsum"), takes twice the cycles at 8B.
    "xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000",
    # What one operation may use of the memory beside a core (VMEM): by default 16 MB of 128, where
    # a gathered weight can take all the rest and matmuls run in small tiles (8 % of cycles at 8B).
    "xla_tpu_scoped_vmem_limit_kib": "49152",
}


def init_and_update(
    recipe: ConfigDict, model: Model, mesh: Mesh, max_documents: int = 0
) -> tuple[Callable, Callable]:
    """(params -> TrainState, (state, base, batch, lr) -> (state, metrics)), both jitted.

    The params are donated to the state, and the state to the update, so that no second copy lies on
    the devices; the base is not. max_documents: of `summed_loss`. Stages whose updates differ in
    rates and rows alone share the programs.
    """
    optimizer = tuple((key, recipe[key]) for key in OPTIMIZER)
    return _init_and_update(optimizer, model, mesh, max_documents)


@functools.lru_cache(maxsize=8)
def _init_and_update(
    settings: tuple[tuple[str, float], ...], model: Model, mesh: Mesh, max_documents: int
) -> tuple[Callable, Callable]:
    optimizer = train_step.make_optimizer(ConfigDict(dict(settings)))
    loss = functools.partial(train_step.summed_loss, model=model, max_documents=max_documents)
    placed = state_shardings(transformer.trained_shapes(model), optimizer, model, mesh)
    init = jax.jit(
        functools.partial(train_step.init_state, optimizer=optimizer),
        out_shardings=placed,
        donate_argnums=0,
    )
    update = jax.jit(
        functools.partial(train_step.train_step, loss=loss, optimizer=optimizer),
        out_shardings=(placed, None),
        donate_argnums=0,
        compiler_options=TPU_OPTIONS if mesh.devices.flat[0].platform == "tpu" else None,
    )
    return init, update


@functools.lru_cache(maxsize=8)
def loss_of(model: Model, max_documents: int) -> Callable:
    """(params, base, micro) -> `summed_loss`, jitted."""
    return jax.jit(
        functools.partial(train_step.summed_loss, model=model, max_documents=max_documents)
    )


def param_shardings(params: PyTree, model: Model, mesh: Mesh) -> PyTree:
    """The NamedSharding of every leaf of any part of the weights, by its logical axes."""
    axes = transformer.logical_axes(model)
    return sharding.shardings({name: axes[name] for name in params}, params, mesh)


def state_shardings(
    params: PyTree, optimizer: optax.GradientTransformation, model: Model, mesh: Mesh
) -> PyTree:
    """The NamedShardings of a TrainState: moments lie as the parameters they belong to."""
    placed = param_shardings(params, model, mesh)
    replicated = jax.NamedSharding(mesh, jax.P())
    opt_state = optax.tree_utils.tree_map_params(
        optimizer,
        lambda _, sharding: sharding,
        jax.eval_shape(optimizer.init, params),
        placed,
        transform_non_params=lambda _: replicated,
    )
    # A TrainState of shardings is no TrainState to a type checker.
    return train_step.TrainState(replicated, placed, opt_state)  # type: ignore[arg-type]
