"""Saves and restores checkpoints with Orbax, and sees when one was damaged.

stages/<fingerprint>/checkpoints/<updates>/ holds `params` and, until the stage is finished, the
optimizer's state as `optimizer`. The step of a checkpoint is the number of updates done, which is
the data's position too. checksums.json beside them describes all their files: it is written in the
background, before Orbax gives the folder its name, so that no checkpoint is without it. (Those of
versions before 0.9 have none, and of them only what Orbax notices is seen.)
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from vcjax import sharding
from vcjax.errors import InputError, first_line
from vcjax.training.train_step import TrainState
from vcjax.workdir import checksums, disk, files, processes, storage

PyTree = Any

METADATA = "_CHECKPOINT_METADATA"  # Orbax's, of the whole checkpoint
OLDER = "it goes on from an older one, or trains the stage from its beginning"


class _Manager(ocp.CheckpointManager):
    """Leaves preemption to `preemption.noticed`. Orbax would ask JAX too, and its questions, with
    numbers of their own, would move the point at which all processes agreed to stop."""

    def reached_preemption(self, step: int) -> bool:
        del step
        return False


@contextlib.contextmanager
def open_manager(folder: epath.Path, keep: int) -> Iterator[ocp.CheckpointManager]:
    """Saves in the background, keeps the last `keep`; what a kill left unfinished is removed."""
    manager = _Manager(
        storage.absolute(folder),
        options=ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(
                post_finalization_callback=lambda: _write_checksums(folder)
            ),
        ),
        item_names=("params", "optimizer"),
    )
    try:
        yield manager
    except BaseException:
        if jax.process_count() == 1:  # else it would wait for processes that may be gone
            manager.close()
        raise
    manager.close()


def _write_checksums(folder: epath.Path) -> None:
    """Of the one checkpoint that is being saved, when it has all its files."""
    if processes.is_first():
        [unfinished] = [path for path in folder.iterdir() if _is_unfinished(path)]
        checksums.write(unfinished, without=METADATA)  # which gets the time of the end


def _is_unfinished(checkpoint: epath.Path) -> bool:
    """On a disk Orbax gives a checkpoint its name at the end, in a bucket a last object."""
    if storage.is_local(checkpoint):
        return ocp.utils.TMP_DIR_SUFFIX in checkpoint.name
    return checkpoint.name.isdigit() and not (checkpoint / "commit_success.txt").exists()


def _steps(folder: epath.Path) -> list[int]:
    """Of the checkpoints that were saved to their end, the newest first."""
    if not folder.exists():
        return []
    names = [path.name for path in folder.iterdir() if not _is_unfinished(path)]
    return sorted((int(name) for name in names if name.isdigit()), reverse=True)


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


def save_alone(folder: epath.Path, step: int, params: PyTree) -> None:
    """Saves parameters in a folder of their own, whole or not at all."""
    with open_manager(folder, keep=1) as manager:
        save_final(manager, step, params)


def delete_all_but(manager: ocp.CheckpointManager, step: int) -> None:
    """Removes the checkpoints, with their optimizer state, of a stage that is finished."""
    for earlier in manager.all_steps():
        if earlier != step:
            manager.delete(earlier)


def latest_usable(folder: epath.Path, fault: Callable[[int], str | None]) -> int:
    """The step of the newest checkpoint to go on from, 0 where there is none at all.

    A damaged one is removed, and a warning says so. So is one of which fault(step) is not None: it
    says what else of the stage makes the checkpoint useless. InputError: none can be used.
    """
    return processes.on_first(lambda: _latest_usable(folder, fault))


def _latest_usable(folder: epath.Path, fault: Callable[[int], str | None]) -> int:
    useless: list[tuple[epath.Path, str]] = []
    for step in _steps(folder):
        checkpoint = folder / str(step)
        reason = _damage(checkpoint) or fault(step)
        if reason is None:
            for path, why in useless:
                print(f"warning: {path}: {why}; going on from the one of update {step}")
                path.rmtree()
            return step
        useless.append((checkpoint, reason))
    if not useless:
        return 0
    path, why = useless[0]
    raise InputError(
        f"{path}: {why}, and there is no other checkpoint to go on from; remove "
        f"{folder.parent} and start the same command again: it trains the stage from its beginning"
    )


def _damage(checkpoint: epath.Path) -> str | None:
    """In words; None where it is as it was saved."""
    reason = checksums.damage(checkpoint)
    if reason is None and not (checkpoint / "params").exists():
        reason = "params is missing"
    try:
        if not isinstance(files.read_json(checkpoint / METADATA), dict):
            reason = f"{METADATA} is missing or damaged"
    except InputError:
        reason = f"{METADATA} is damaged"
    return reason and f"it is damaged ({reason})"


def restore(manager: ocp.CheckpointManager, step: int, like: TrainState) -> TrainState:
    """The state that was saved at this step, placed as `like` is."""
    checkpoint = epath.Path(manager.directory) / str(step)
    with _readable(checkpoint, f"remove it and start the same command again: {OLDER}"):
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
    saved. InputError: they are gone or damaged.
    """
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or here), like
    )
    check_finished(folder)
    with (
        ocp.CheckpointManager(
            storage.absolute(folder), options=ocp.CheckpointManagerOptions(read_only=True)
        ) as manager,
        _readable(folder, _train_again(folder)),
    ):
        restored = manager.restore(
            manager.latest_step(), args=ocp.args.Composite(params=ocp.args.StandardRestore(like))
        )
    return restored["params"]


def restore_param(folder: epath.Path, path: tuple[str, ...]) -> np.ndarray:
    """One of the parameters of a finished stage, a host array; path: its keys in the tree.

    No other is read, and none is compared with its checksum: `check_finished` does that for all.
    """
    like: PyTree = 0
    for key in reversed(path):
        like = {key: like}
    to_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), like)
    with (
        ocp.CheckpointManager(
            storage.absolute(folder),
            options=ocp.CheckpointManagerOptions(read_only=True),
            item_handlers={"params": ocp.PyTreeCheckpointHandler()},
        ) as manager,
        _readable(folder, _train_again(folder)),
    ):
        part = ocp.args.PyTreeRestore(like, restore_args=to_host, partial_restore=True)
        step = manager.latest_step()
        restored = manager.restore(step, args=ocp.args.Composite(params=part))
    return jax.tree.leaves(restored["params"])[0]


def check_finished(folder: epath.Path) -> None:
    """Raises InputError where the parameters that a finished stage left are gone or damaged."""
    processes.on_first(lambda: _check_finished(folder))


def _check_finished(folder: epath.Path) -> None:
    steps = _steps(folder)
    where = folder / str(steps[0]) if steps else folder
    reason = _damage(where) if steps else "the checkpoint was removed"
    if reason:
        raise InputError(f"{where}: {reason}; {_train_again(folder)}")


def _train_again(folder: epath.Path) -> str:
    return (
        f"to train this finished stage again, remove {folder.parent} and start the run's command "
        "of vcjax.main again (config.json has it)"
    )


@contextlib.contextmanager
def _readable(where: epath.Path, remedy: str) -> Iterator[None]:
    """Makes an error of Orbax an InputError, as of a damaged checkpoint without checksums."""
    try:
        yield
    except Exception as error:  # many types, a bare Exception among them
        if isinstance(error, RuntimeError | MemoryError) or disk.explain(error):
            raise  # too little memory, say: no fault of the files
        reason = first_line(error)
        raise InputError(f"{where}: Orbax cannot restore it ({reason}); {remedy}") from error
