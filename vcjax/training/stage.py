"""One stage, to be read from top to bottom: rows, step, state, loop, checkpoints, metrics."""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grain
import jax
from etils import epath
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.config import profiled
from vcjax.data import rows
from vcjax.errors import InputError
from vcjax.models import kernels
from vcjax.plan import StagePlan
from vcjax.training import (
    checkpoint,
    compiled_step,
    first_updates,
    metrics_log,
    trackers,
    train_step,
)
from vcjax.training.loaded_model import LoadedModel, Weights
from vcjax.training.metrics_log import MetricsLog
from vcjax.training.progress import Progress, describe
from vcjax.training.throughput import Speed
from vcjax.workdir import environment, files, preemption, processes, stages, storage
from vcjax.workdir.best_effort import best_effort

PyTree = Any


def run_stage(
    stage: StagePlan,
    title: str,
    weights: Weights,
    loaded: LoadedModel,
    workdir: epath.Path,
) -> None:
    """Trains one stage and leaves its parameters in its folder, going on where a kill ended it.

    weights: what it starts from; the buffers of its params are donated, so the caller cannot use
    them afterwards. Raises Preempted between two updates, after saving, and
    InputError where the loss is not finite or what an earlier process left here is damaged.
    """
    started = time.monotonic()
    mesh, config = loaded.mesh, loaded.config
    model, params, base = weights
    max_documents = kernels.static_documents(model.attention, stage.data.most_documents)
    folder = stages.folder(workdir, stage.fingerprint)
    checkpoints = stages.weights(workdir, stage.fingerprint)
    recipe = ConfigDict(stage.recipe)
    _note_state(workdir, stage, stages.RUNNING)
    speed = Speed(folder / "speed.json", model.architecture, model.lora, mesh)

    # --- Rows: a batch is found by its step.
    batches = rows.batches(
        workdir / "rows" / stage.data.rows_id,
        rows=stage.micro_batch_rows,
        accumulation=recipe.accumulation,
        seed=stage.seed,
        epochs=recipe.epochs,
        parts=stage.data.parts,
    )
    assert len(batches) == stage.updates
    held_out = _held_out_batches(stage, workdir)
    first = checkpoint.latest_usable(checkpoints, lambda step: metrics_log.fault(folder, step))
    _forget_kept(stage, workdir, after=first)

    # --- Step: a pure function, jitted once; the state is donated, the base is not.
    rates = train_step.learning_rates(recipe, stage.updates, stage.warmup)
    init, update = compiled_step.init_and_update(recipe, model, mesh, max_documents)
    state = init(params)
    evaluate = compiled_step.loss_of(model, max_documents)

    with (
        preemption.deferred(),
        checkpoint.open_manager(checkpoints, config.keep_checkpoints) as manager,
        contextlib.ExitStack() as opened,
    ):
        # --- State: a fresh optimizer, or the last checkpoint. The final one holds no optimizer.
        if 0 < first < stage.updates:
            like = jax.tree.map(_shape, state)
            del state  # two of them may not fit
            state = checkpoint.restore(manager, first, like)
        speed.resume(first)
        tracker = _tracker(config, title, stage)
        log = opened.enter_context(contextlib.closing(MetricsLog(folder, first, tracker)))
        progress = opened.enter_context(contextlib.closing(Progress(title, stage.updates, first)))
        pending: list[tuple[int, dict]] = []  # metrics still on the device
        put = functools.partial(sharding.put_batch, mesh=mesh)

        def mean_loss(of: Iterable[dict]) -> float:
            total = weight = 0.0
            for batch in of:
                for number in range(len(batch["tokens"])):
                    micro = {name: array[number] for name, array in batch.items()}
                    total += float(evaluate(state.params, base, put(micro)))
                    weight += float(micro["loss_weights"].sum())
            return total / max(weight, 1e-9)

        def evaluate_held_out(step: int) -> None:
            if held_out is not None:
                log.write(step, held_out_loss=mean_loss(rows.in_order(held_out)))

        if first == 0:
            evaluate_held_out(0)
        checked = first_updates.CHECKED if first == 0 else 0
        if checked > stage.updates or not first_updates.is_new(state.params, model):
            checked = 0
        loss_before = mean_loss([batches[0]]) if checked else math.nan
        norms: list[jax.Array] = []  # of the gradients, while it is yet to be told

        # --- Loop. Grain reads batches ahead; which one is next, the step says.
        traced = [step for step in profiled(config) if step > first]
        # Metrics are fetched, which waits for the device, at the edges of what is not to count as
        # speed: after the first update (it compiles), before weights are kept, before a new adapter
        # is checked; and around a trace, so that it holds no other updates.
        fetches = {first + 1, checked, *stage.keep, *(s - 1 for s in traced[:1]), *traced[-1:]}
        trace = contextlib.ExitStack()
        opened.callback(_close, trace)
        remaining = speed.batches(rows.in_order(batches, first))
        for step, batch in enumerate(remaining, start=first + 1):
            if step in traced[:1] and processes.is_first():
                with best_effort("config.profile"):
                    place = workdir / "profile" / stage.fingerprint
                    place = trace.enter_context(storage.local_folder(place))
                    trace.enter_context(jax.profiler.trace(place))
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = update(state, base, put(batch), rates[step - 1])
            pending.append((step, metrics))
            if step <= checked:
                norms.append(metrics["grad_norm"])
            last = step == stage.updates
            stopping = not last and preemption.noticed()
            checkpoint_due = last or stopping or step % config.checkpoint_every == 0
            evaluation_due = last or step % config.eval_every == 0
            fetch_due = checkpoint_due or evaluation_due or step % config.log_every == 0
            if fetch_due or step in fetches:
                loss = _flush(pending, log, title)
                measured = speed.fetched(step)
                log.events(step, **measured)
                figures = {"loss": loss, **measured}
            progress.update(figures)
            if step in traced[-1:]:
                _close(trace)
            if evaluation_due:
                evaluate_held_out(step)
            if step == checked:
                with progress.paused():
                    now = mean_loss([batches[0]])
                    if warning := first_updates.warning(loss_before, now, rates[:step], norms):
                        print(f"warning: {title}: {warning}")
            if step in stage.keep:  # before a checkpoint: whoever goes on from that has this, too
                with progress.paused():
                    manager.wait_until_finished()
                    kept = stages.weights(workdir, stage.fingerprint, step)
                    checkpoint.save_alone(kept, step, state.params)
            if checkpoint_due:
                speed.save(step)
                log.save()
                if not last:
                    checkpoint.save(manager, step, state)
            if stopping:
                manager.wait_until_finished()
                raise preemption.Preempted(
                    f"{title}: stopped by SIGTERM after update {step} of {stage.updates}, saved"
                )
        if first < stage.updates:
            checkpoint.save_final(manager, stage.updates, state.params)
        checkpoint.delete_all_but(manager, stage.updates)

    _note_state(workdir, stage, stages.DONE)
    figures = speed.figures(stage.updates)
    print(f"{title}: {describe(figures)}")
    seconds = time.monotonic() - started
    files.note_time(workdir, f"stages/{stage.fingerprint}", seconds, **figures)


def _tracker(
    config: ConfigDict, title: str, stage: StagePlan
) -> Callable[[Path], trackers.InBackground] | None:
    """What opens the tracker that the config names, if any."""
    if not config.tracker:
        return None
    tracked = trackers.TrackedStage(config.name, title, stage.fingerprint, stage.recipe)
    return functools.partial(trackers.start, config.tracker, tracked)


def _close(trace: contextlib.ExitStack) -> None:
    with best_effort("config.profile"):
        trace.close()


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def take_over(stage: StagePlan, params: PyTree, workdir: epath.Path) -> None:
    """Saves parameters that were trained elsewhere as if a stage of this run had trained them."""
    MetricsLog(stages.folder(workdir, stage.fingerprint), 0).close()  # no updates, no losses
    checkpoint.save_alone(stages.weights(workdir, stage.fingerprint), stage.updates, params)
    _note_state(workdir, stage, stages.DONE)


def _forget_kept(stage: StagePlan, workdir: epath.Path, after: int) -> None:
    """Removes what an earlier process kept after later updates than this one: they come again."""

    def on_first() -> None:
        for update in stage.keep:
            kept = stages.weights(workdir, stage.fingerprint, update)
            if update > after and kept.exists():
                kept.rmtree()

    processes.on_first(on_first)


def _note_state(workdir: epath.Path, stage: StagePlan, state: str) -> None:
    plan = dataclasses.asdict(stage)
    stages.write(workdir, stage.fingerprint, state, plan, environment.describe())


def _held_out_batches(stage: StagePlan, workdir: epath.Path) -> grain.MapDataset | None:
    """Batches [1, rows, length] of the documents kept out of training, each a micro-batch."""
    if stage.data.held_out_id is None:
        return None
    folder = workdir / "rows" / stage.data.held_out_id
    return rows.batches(folder, stage.micro_batch_rows, 1, seed=0, epochs=1)


def _flush(pending: list[tuple[int, dict]], log: MetricsLog, title: str) -> float:
    """Fetches the metrics that are still on the device and logs them; returns the last loss."""
    loss = math.nan
    for step, metrics in pending:
        values = {name: float(value) for name, value in metrics.items()}
        loss = values["loss"]
        if not math.isfinite(loss) or not math.isfinite(values["grad_norm"]):
            raise InputError(
                f"stage {title}: loss {loss} and gradient norm {values['grad_norm']} at update "
                f"{step}, so training stopped there; earlier checkpoints stay. Lower the stage's "
                "lr and start again, with --config.on_change=retrain or in another --workdir"
            )
        log.write(step, **values)
    pending.clear()
    return loss
