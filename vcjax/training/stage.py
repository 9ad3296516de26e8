"""One stage, read from top to bottom: rows, state, loop, checkpoints, metrics."""

import contextlib
import dataclasses
import functools
import math
import time
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.config import profiled
from vcjax.data import rows
from vcjax.errors import InputError
from vcjax.models import kernels
from vcjax.plan import StagePlan
from vcjax.training import checkpoint, compiled_step, train_step
from vcjax.training.loaded_model import LoadedModel
from vcjax.training.metrics_log import MetricsLog
from vcjax.training.progress import Progress, describe
from vcjax.training.throughput import Speed
from vcjax.workdir import environment, files, preemption, processes, stages, storage

PyTree = Any


def run_stage(
    stage: StagePlan,
    title: str,
    params: PyTree,
    loaded: LoadedModel,
    workdir: epath.Path,
) -> None:
    """Trains one stage and leaves its parameters in its folder, going on where a kill ended it.

    params: what it starts from (the parent's, or fresh ones); they are gone afterwards. Raises
    Preempted between two updates, after saving.
    """
    started = time.monotonic()
    base, mesh, config = loaded.base, loaded.mesh, loaded.config
    model = loaded.model
    max_documents = kernels.static_documents(model.attention, stage.data.most_documents)
    folder = stages.folder(workdir, stage.fingerprint)
    recipe = ConfigDict(stage.recipe)
    _note_state(workdir, stage, stages.RUNNING)
    rank = None if model.lora is None else model.lora.rank
    speed = Speed(folder / "speed.json", model.architecture, rank, mesh)

    # --- Rows: the batch of a step is an index away.
    batches = rows.batches(
        workdir / "rows" / stage.data.rows_id,
        rows=stage.micro_batch_rows,
        accumulation=recipe.accumulation,
        seed=stage.seed,
        epochs=recipe.epochs,
    )
    assert len(batches) == stage.updates
    held_out = _held_out_batches(stage, workdir)

    # --- Step: a pure function, jitted once; the state is donated, the base is not.
    rates = train_step.learning_rates(recipe, stage.updates, stage.warmup)
    init, update = compiled_step.init_and_update(recipe, params, model, mesh, max_documents)
    state = init(params)
    evaluate = jax.jit(
        functools.partial(train_step.summed_loss, model=model, max_documents=max_documents)
    )

    with (
        preemption.deferred(),
        checkpoint.open_manager(folder / "checkpoints", config.keep_checkpoints) as manager,
        contextlib.ExitStack() as opened,
        contextlib.ExitStack() as trace,
    ):
        # --- State: a fresh optimizer, or the last checkpoint. The final one holds no optimizer.
        first = manager.latest_step() or 0
        if 0 < first < stage.updates:
            like = jax.tree.map(_shape, state)
            del state  # two of them may not fit
            state = checkpoint.restore(manager, first, like)
        speed.resume(first)
        log = opened.enter_context(contextlib.closing(MetricsLog(folder, first)))
        progress = opened.enter_context(contextlib.closing(Progress(title, stage.updates, first)))
        pending: list[tuple[int, dict]] = []  # metrics still on the device
        put = functools.partial(sharding.put_batch, mesh=mesh)

        def evaluate_held_out(step: int) -> None:
            if held_out:
                total = sum(float(evaluate(state.params, base, put(b))) for b in held_out)
                weight = sum(float(b["loss_weights"].sum()) for b in held_out)
                log.write(step, held_out_loss=total / weight)

        if first == 0:
            evaluate_held_out(0)

        # --- Loop. Grain reads ahead; the position is the step.
        traced = [step for step in profiled(config) if step > first]
        # The first update compiles, which is not its speed; a trace holds no other updates.
        fetches = {first + 1, *(step - 1 for step in traced[:1]), *traced[-1:]}
        remaining = speed.batches(batches[first:].to_iter_dataset())
        for step, batch in enumerate(remaining, start=first + 1):
            if step in traced[:1] and processes.is_first():
                place = workdir / "profile" / stage.fingerprint
                place = trace.enter_context(storage.local_folder(place))
                trace.enter_context(jax.profiler.trace(place))
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = update(state, base, put(batch), rates[step - 1])
            pending.append((step, metrics))
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
                trace.close()
            if evaluation_due:
                evaluate_held_out(step)
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


def _shape(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def take_over(stage: StagePlan, params: PyTree, workdir: epath.Path) -> None:
    """Leaves parameters that were trained elsewhere as those of a finished stage."""
    folder = stages.folder(workdir, stage.fingerprint)
    MetricsLog(folder, 0).close()  # no updates, no losses
    with checkpoint.open_manager(folder / "checkpoints", keep=1) as manager:
        checkpoint.save_final(manager, stage.updates, params)
    _note_state(workdir, stage, stages.DONE)


def _note_state(workdir: epath.Path, stage: StagePlan, state: str) -> None:
    plan = dataclasses.asdict(stage)
    stages.write(workdir, stage.fingerprint, state, plan, environment.describe())


def _held_out_batches(stage: StagePlan, workdir: epath.Path) -> list[dict]:
    """Batches [rows, length] of the documents kept out of training, as large as a micro-batch."""
    if stage.data.held_out_id is None:
        return []
    folder = workdir / "rows" / stage.data.held_out_id
    data = rows.batches(folder, stage.micro_batch_rows, 1, seed=0, epochs=1)
    return [{name: array[0] for name, array in batch.items()} for batch in data]


def _flush(pending: list[tuple[int, dict]], log: MetricsLog, title: str) -> float:
    """Fetches and writes the metrics still on the device; returns the last loss."""
    loss = math.nan
    for step, metrics in pending:
        values = {name: float(value) for name, value in metrics.items()}
        loss = values["loss"]
        if not math.isfinite(loss) or not math.isfinite(values["grad_norm"]):
            raise InputError(
                f"stage {title}: loss {loss}, gradient norm {values['grad_norm']} at update "
                f"{step}; the checkpoints before it stay. Lower its lr, with "
                "--config.on_change=retrain or in another --workdir"
            )
        log.write(step, **values)
    pending.clear()
    return loss
