"""Where a stage's metrics also go: TensorBoard always, Weights & Biases or trackio on request.

A function opens each of them. Its calls run in a thread of their own, so that no full disk and no
network can stop training or hold it up: what fails ends that tracker alone, with one warning.

Keys and modes are the libraries' own environment variables (WANDB_API_KEY, WANDB_MODE=offline,
TRACKIO_DIR, ...). What is sent are the metrics and the stage's recipe.
"""

import dataclasses
import importlib.util
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vcjax.errors import InputError
from vcjax.workdir.best_effort import best_effort, warn

FLUSH_SECONDS = 10.0  # between two writes of TensorBoard's events to the disk
CLOSE_SECONDS = 20.0  # that the end of a stage waits for what is still to be sent
WAITING = 10_000  # records that may wait for a slow tracker; more are dropped


@dataclasses.dataclass(frozen=True)
class TrackedStage:
    """What a tracker shows of a stage. fingerprint: a stage that goes on continues its run."""

    experiment: str
    title: str
    fingerprint: str
    recipe: Mapping[str, Any]


class Tracker(NamedTuple):
    """An open tracker; write takes (step, name -> value, seconds since 1970)."""

    write: Callable[[int, Mapping[str, float], float], None]
    flush: Callable[[], None]
    close: Callable[[], None]


class InBackground:
    """A tracker in a thread of its own, which never raises and never waits for long."""

    def __init__(self, what: str, start: Callable[[], Tracker]):
        """what: its name, for warnings."""
        self._what = what
        self._calls: queue.Queue[tuple] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, args=(start,), daemon=True)
        self._thread.start()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._put("write", step, dict(values), time.time())

    def flush(self) -> None:
        """Waits until all that was written so far is on the disk, or sent."""
        done, end = threading.Event(), time.monotonic() + CLOSE_SECONDS
        self._put("flush", done)
        while self._thread.is_alive() and not done.wait(0.1) and time.monotonic() < end:
            pass

    def close(self) -> None:
        self._put("close")
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            warn(self._what, f"it has not ended within {CLOSE_SECONDS:.0f} s")

    def _put(self, *call: Any) -> None:
        if not self._thread.is_alive():
            return
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            warn(self._what, f"{WAITING:,} records wait to be sent, what comes now is dropped")

    def _run(self, start: Callable[[], Tracker]) -> None:
        with best_effort(self._what):
            tracker = start()
            while True:
                name, *arguments = self._calls.get()
                if name == "write":
                    tracker.write(*arguments)
                elif name == "flush":
                    tracker.flush()
                    arguments[0].set()
                else:
                    tracker.close()
                    return


def tensorboard(folder: Path, step: int) -> Tracker:
    """TensorBoard's events, in a new file of the folder.

    step: of the checkpoint that the stage goes on from, 0 where it begins. What an earlier process
    wrote of later steps is hidden.
    """
    # It imports PyTorch where that is installed, for which no plan has to wait.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import scalar

    folder.mkdir(parents=True, exist_ok=True)
    # Not tensorboardX's SummaryWriter: one error ends its thread, and the queue that nobody empties
    # then blocks the loop for good. The suffix keeps two starts within a second apart.
    file = EventsWriter(str(folder / "events"), filename_suffix=f".{time.time_ns()}")
    # TensorBoard hides what it read before of this step and of later ones.
    hidden_from = step + 1 if step else 0
    start = SessionLog(status=SessionLog.START)
    file.write_event(Event(wall_time=time.time(), step=hidden_from, session_log=start))
    file.flush()
    flushed = time.monotonic()

    def write(step: int, values: Mapping[str, float], seconds: float) -> None:
        nonlocal flushed
        for name, value in values.items():
            file.write_event(Event(wall_time=seconds, step=step, summary=scalar(name, value)))
        if time.monotonic() - flushed > FLUSH_SECONDS:
            file.flush()
            flushed = time.monotonic()

    return Tracker(write, file.flush, file.close)


def _wandb(stage: TrackedStage, folder: Path) -> Tracker:
    """Weights & Biases; with WANDB_MODE=offline in folder/wandb, for `wandb sync`."""
    import wandb

    offline = os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun")
    if not offline and not wandb.api.api_key:
        raise InputError("no API key; run `wandb login`, or set WANDB_MODE=offline")
    run = wandb.init(
        project=stage.experiment,
        id=stage.fingerprint,
        name=stage.title,
        config=dict(stage.recipe),
        dir=folder,
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",  # what the run prints stays here
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,  # the command and the machine
            x_disable_stats=True,
        ),
    )

    def write(step: int, values: Mapping[str, float], seconds: float) -> None:
        run.log({**values, "_timestamp": seconds}, step=step)

    return Tracker(write, lambda: None, run.finish)


def _trackio(stage: TrackedStage, folder: Path) -> Tracker:
    """trackio: local, in TRACKIO_DIR or its own cache; `trackio show` displays it."""
    import trackio

    run = trackio.init(
        project=stage.experiment,
        name=f"{stage.title}, {stage.fingerprint}",
        config=dict(stage.recipe),
        resume="allow",
        embed=False,
        auto_log_cpu=False,
        auto_log_gpu=False,
    )

    def write(step: int, values: Mapping[str, float], seconds: float) -> None:
        run.log(dict(values), step=step)

    return Tracker(write, lambda: None, run.finish)


LIBRARIES = {"wandb": _wandb, "trackio": _trackio}  # by the value of config.tracker


def check(tracker: str) -> None:
    """Raises InputError where config.tracker names none that is known and installed; "": none."""
    if not tracker:
        return
    if tracker not in LIBRARIES:
        raise InputError(
            f"config.tracker: {tracker!r} is not one of {', '.join(LIBRARIES)}; leave it out for "
            "TensorBoard alone"
        )
    if importlib.util.find_spec(tracker) is None:
        raise InputError(
            f"config.tracker: the package {tracker} is not installed; "
            f"in vcjax's checkout, pip install --editable '.[{tracker}]'"
        )


def start(tracker: str, stage: TrackedStage, folder: Path) -> InBackground:
    """Opens the library that config.tracker names; folder: for what it writes here."""
    check(tracker)
    return InBackground(tracker, lambda: LIBRARIES[tracker](stage, folder))
