"""What a stage leaves behind while it trains: metrics.jsonl and TensorBoard events."""

import json
import tempfile
from pathlib import Path

from etils import epath
from tensorboardX import SummaryWriter

from vcjax.workdir import files, processes, storage


class MetricsLog:
    """Appends one JSON line a record; opened at `step`, it first forgets what came after it.

    So an interrupted stage that goes on from a checkpoint leaves the file of one that was never
    interrupted. No line holds a time. Of many processes only the first writes.

    Where the folder is in a bucket, a local one is copied to it at `save` and `close`.
    """

    def __init__(self, folder: epath.Path, step: int):
        self._writes = processes.is_first()
        if not self._writes:
            return
        lines = _lines(folder / "metrics.jsonl")
        kept = [line for line in lines if json.loads(line)["step"] <= step] if step else []
        self._folder = folder
        if storage.is_local(folder):
            self._local = Path(folder)
        else:
            self._temporary = tempfile.TemporaryDirectory()  # goes with this object
            self._local = Path(self._temporary.name)
        path = self._local / "metrics.jsonl"
        files.write_text(path, "".join(kept))
        self._file = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(
            str(self._local / "tensorboard"), purge_step=step, flush_secs=10, write_to_disk=True
        )

    def write(self, step: int, **values: float) -> None:
        if not self._writes:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        self.events(step, **values)

    def events(self, step: int, **values: float) -> None:
        """To TensorBoard alone: what differs from run to run, such as speed."""
        if not self._writes:
            return
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def save(self) -> None:
        """To be called before a checkpoint is saved, so that none is without what led to it."""
        if not self._writes or storage.is_local(self._folder):
            return
        self._events.flush()
        storage.upload(self._local, self._folder)

    def close(self) -> None:
        if not self._writes:
            return
        self._file.close()
        self._events.close()
        self.save()


def _lines(path: epath.Path) -> list[str]:
    """Whole lines only: a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(True) if line[-1] == "\n"]
