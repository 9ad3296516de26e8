"""What a stage leaves behind while it trains: metrics.jsonl, and what trackers make of it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from etils import epath

from vcjax.training import trackers
from vcjax.workdir import disk, files, processes, storage


class MetricsLog:
    """Appends a line of JSON for each record to metrics.jsonl, and tells the trackers.

    Opened at `step` it first removes the lines of later steps, so that a stage that goes on from a
    checkpoint leaves the same file as one that was never interrupted. No line holds a time. Of many
    processes only the first writes.

    Where the folder is in a bucket, a local one is copied to it at `save` and `close`.
    """

    def __init__(
        self,
        folder: epath.Path,
        step: int,
        start_tracker: Callable[[Path], trackers.InBackground] | None = None,
    ):
        """step: of the checkpoint that the stage goes on from, 0 where it begins.

        start_tracker: opens one beside TensorBoard, given a local folder.
        """
        self._writes = processes.is_first()
        if not self._writes:
            return
        lines, _ = _intact(folder / "metrics.jsonl") if step else ([], False)
        kept = [line for at, line in lines if at <= step]
        self._folder = folder
        if storage.is_local(folder):
            self._local = Path(folder)
        else:
            self._temporary = tempfile.TemporaryDirectory()  # goes with this object
            self._local = Path(self._temporary.name)
        path = self._local / "metrics.jsonl"
        files.write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8")
        events = self._local / "tensorboard"
        self._trackers = [
            trackers.InBackground(f"{events}", lambda: trackers.tensorboard(events, step))
        ]
        if start_tracker is not None:
            self._trackers.append(start_tracker(self._local))

    def write(self, step: int, **values: float) -> None:
        """One record, names -> values, to the file and the trackers."""
        if not self._writes:
            return
        with disk.writing(self._local / "metrics.jsonl"):
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        self.events(step, **values)

    def events(self, step: int, **values: float) -> None:
        """To the trackers alone: what differs from run to run, such as speed."""
        if not self._writes:
            return
        for tracker in self._trackers:
            tracker.write(step, values)

    def save(self) -> None:
        """To be called before a checkpoint is saved, so that none is without what led to it."""
        if not self._writes or storage.is_local(self._folder):
            return
        for tracker in self._trackers:
            tracker.flush()
        storage.upload(self._local, self._folder)

    def close(self) -> None:
        if not self._writes:
            return
        self._file.close()
        for tracker in self._trackers:
            tracker.close()
        if not storage.is_local(self._folder):
            storage.upload(self._local, self._folder)


def fault(folder: epath.Path, step: int) -> str | None:
    """Why a stage cannot go on from the checkpoint of this step: what was logged up to it is not
    all in metrics.jsonl. None where it is."""
    path = folder / "metrics.jsonl"
    lines, is_damaged = _intact(path)
    logged = {at for at, line in lines if '"loss"' in line}
    missing = next((at for at in range(1, step + 1) if at not in logged), None)
    if missing is not None:
        return f"{path} is damaged (the loss of update {missing} is not in it)"
    if is_damaged and lines and lines[-1][0] <= step:
        return f"{path} is damaged (line {len(lines) + 1})"
    return None


def _intact(path: epath.Path) -> tuple[list[tuple[int, str]], bool]:
    """The lines up to the first that is damaged, each with its step, and whether there is one.

    A last line without its end was cut by a kill, which is no damage.
    """
    lines: list[tuple[int, str]] = []
    if not path.exists():
        return lines, False
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            step = json.loads(line)["step"]
            lines.append((int(step), line.decode()))
        except (ValueError, KeyError, TypeError):
            return lines, True
    return lines, False
