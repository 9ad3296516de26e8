"""What a stage leaves behind while it trains: metrics.jsonl and TensorBoard events."""

import json
from pathlib import Path

from tensorboardX import SummaryWriter

from vcjax import files, processes


class MetricsLog:
    """Appends one JSON line a record; opened at `step`, it first forgets what came after it.

    So an interrupted stage that goes on from a checkpoint leaves the file of one that was never
    interrupted. No line holds a time. Of many processes only the first writes.
    """

    def __init__(self, folder: Path, step: int):
        self._writes = processes.is_first()
        if not self._writes:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        files.write_text(path, "".join(kept) if step else "")
        self._file = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(
            str(folder / "tensorboard"), purge_step=step, flush_secs=10, write_to_disk=True
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

    def close(self) -> None:
        if not self._writes:
            return
        self._file.close()
        self._events.close()


def _lines(path: Path) -> list[str]:
    """Whole lines only: a kill may have cut the last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(True) if line[-1] == "\n"]
