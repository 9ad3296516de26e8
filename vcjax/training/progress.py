"""Shows how far a stage is: a bar on a terminal, plain lines in a log."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping

from tqdm import tqdm

from vcjax.workdir import processes
from vcjax.workdir.best_effort import best_effort

LINE_SECONDS = 15.0  # between two lines of a log

FORMATS = {
    "loss": "loss {:.3f}",  # nats a token
    "step_seconds": "{:.3g} s an update",
    "tokens_per_second": "{:,.0f} tokens/s",
    "mfu": "MFU {:.1%}",
    "input_wait": "input wait {:.1%}",
    "peak_memory_gb": "peak memory {:.2f} GB",
    "goodput": "goodput {:.1%}",
}


def describe(figures: Mapping[str, float], names: Iterable[str] = FORMATS) -> str:
    """The figures as text, in the order of the names; those that are not known are left out."""
    return ", ".join(FORMATS[name].format(figures[name]) for name in names if name in figures)


class Progress:
    """Counts the updates of one stage, or other units. The first one compiles, so the time left
    does not count it.

    Where nothing can be shown any more (a closed terminal, a full disk), the stage goes on.
    """

    def __init__(self, title: str, total: int, done: int, unit: str = "update"):
        self._title, self._total, self._done, self._unit = title, total, done, unit
        self._first: tuple[int, float] | None = None  # this process' first update, and when
        self._paused = 0.0  # seconds
        self._last_line = time.monotonic()
        self._bar = None
        if done < total and sys.stderr.isatty() and processes.is_first():
            self._bar = tqdm(total=total, initial=done, desc=title, unit=unit)

    def update(self, figures: Mapping[str, float]) -> None:
        """One more update; figures: what was last fetched, by the names of FORMATS."""
        now = time.monotonic()
        self._done += 1
        if self._first is None:
            self._first = self._done, now
        with best_effort("progress"):
            self._show(describe(figures, ("loss", "tokens_per_second", "mfu")), now)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For what does not come again with the updates: the time left does not count it."""
        began = time.monotonic()
        yield
        self._paused += time.monotonic() - began

    def _show(self, text: str, now: float) -> None:
        if self._bar is not None:
            self._bar.update(1)
            self._bar.set_postfix_str(text)
        elif now - self._last_line >= LINE_SECONDS or self._done == self._total:
            self._last_line = now
            counted = f"{self._unit} {self._done}/{self._total}"
            left = f"{self._seconds_left(now):.0f} s left"
            print(f"{self._title}: {', '.join(filter(None, (counted, text, left)))}")
            sys.stdout.flush()

    def _seconds_left(self, now: float) -> float:
        """0 before there is anything to measure."""
        assert self._first is not None
        done, then = self._first
        seconds = now - then - self._paused
        return (self._total - self._done) * seconds / max(self._done - done, 1)

    def close(self) -> None:
        if self._bar is not None:
            with best_effort("progress"):
                self._bar.close()
