"""Orbax: save, restore, hand over.

stages/<fingerprint>/checkpoints/<updates>/ holds `params` and, until the stage is finished, the
optimizer's state as `optimizer`. The step of a checkpoint is the number of updates done, which is
the data's position too.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from vcjax import sharding
from vcjax.training.train_step import TrainState
from vcjax.workdir import storage

PyTree = Any


class _Manager(ocp.CheckpointManager):
    """Asks JAX nothing about preemption: `preemption.noticed` does, and a question of another with
    numbers of its own would move the point at which all processes agreed to stop."""

    def reached_preemption(self, step: int) -> bool:
        del step
        return False


@contextlib.contextmanager
def open_manager(folder: epath.Path, keep: int) -> Iterator[ocp.CheckpointManager]:
    """Saves in the background, keeps the last `keep`; what a kill left unfinished is removed."""
    manager = _Manager(
        storage.absolute(folder),
        options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True),
        item_names=("params", "optimizer"),
    )
    try:
        yield manager
    except BaseException:
        if jax.process_count() == 1:  # else it would wait for processes that may be gone
            manager.close()
        raise
    manager.close()


def save(manager: ocp.CheckpointManager, step: int, state: TrainState) -> None:
    """Starts to save a state; returns when the arrays may change again."""
    manager.save(
        step,
        args=ocp.args.Composite(
            params=ocp.args.StandardSave(state.params),
            optimizer=ocp.args.StandardSave(state.opt_state),
        ),
    )


def save_final(manager: ocp.CheckpointManager, step: int, params: PyTree) -> None:
    """Saves a finished stage's parameters and waits until they are there."""
    manager.save(step, args=ocp.args.Composite(params=ocp.args.StandardSave(params)))
    manager.wait_until_finished()


def delete_all_but(manager: ocp.CheckpointManager, step: int) -> None:
    """Removes the checkpoints, with their optimizer state, of a stage that is finished."""
    for earlier in manager.all_steps():
        if earlier != step:
            manager.delete(earlier)


def restore(manager: ocp.CheckpointManager, step: int, like: TrainState) -> TrainState:
    """The state that was saved at this step, placed as `like` is."""
    restored = manager.restore(
        step,
        args=ocp.args.Composite(
            params=ocp.args.StandardRestore(like.params),
            optimizer=ocp.args.StandardRestore(like.opt_state),
        ),
    )
    return TrainState(
        sharding.put(np.int32(step), like.step.sharding),
        restored["params"],
        restored["optimizer"],
    )


def restore_params(folder: epath.Path, like: PyTree) -> PyTree:
    """The parameters of the latest checkpoint in `folder`: those of a finished stage.

    like: their shapes; one without a sharding comes to this process' first device, wherever it was
    saved.
    """
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or here), like
    )
    with ocp.CheckpointManager(
        storage.absolute(folder), options=ocp.CheckpointManagerOptions(read_only=True)
    ) as manager:
        step = manager.latest_step()
        restored = manager.restore(
            step, args=ocp.args.Composite(params=ocp.args.StandardRestore(like))
        )
    return restored["params"]


def restore_param(folder: epath.Path, path: tuple[str, ...]) -> np.ndarray:
    """One of these parameters, a host array; path: its keys in the tree. No other is read."""
    like: PyTree = 0
    for key in reversed(path):
        like = {key: like}
    to_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), like)
    with ocp.CheckpointManager(
        storage.absolute(folder),
        options=ocp.CheckpointManagerOptions(read_only=True),
        item_handlers={"params": ocp.PyTreeCheckpointHandler()},
    ) as manager:
        part = ocp.args.PyTreeRestore(like, restore_args=to_host, partial_restore=True)
        step = manager.latest_step()
        restored = manager.restore(step, args=ocp.args.Composite(params=part))
    return jax.tree.leaves(restored["params"])[0]
