"""How far a long piece of work is: a bar on a terminal, plain lines in a log."""

import sys
import time

from tqdm import tqdm

from vcjax import processes

LINE_SECONDS = 15.0  # between two lines of a log


class Progress:
    """Counts updates and tokens of one stage; speed leaves out the first update, which compiles."""

    def __init__(self, title: str, total: int, done: int):
        self._title, self._total, self._done = title, total, done
        self._first: float | None = None  # when the first update of this process was done
        self._tokens = 0
        self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty() and processes.is_first():
            self._bar = tqdm(total=total, initial=done, desc=title, unit="update")

    def update(self, tokens: int, loss: float | None) -> None:
        """One more update; loss in nats a token, None where it was not fetched yet."""
        now = time.monotonic()
        self._done += 1
        if self._first is None:
            self._first = now
        else:
            self._tokens += tokens
        text = f"{self.tokens_per_second():,.0f} tokens/s"
        if loss is not None:
            text = f"loss {loss:.3f}, {text}"
        if self._bar is not None:
            self._bar.update(1)
            self._bar.set_postfix_str(text)
        elif now - self._last_line >= LINE_SECONDS or self._done == self._total:
            self._last_line = now
            left = self._seconds_left(tokens)
            print(f"{self._title}: update {self._done}/{self._total}, {text}, {left:.0f} s left")
            sys.stdout.flush()

    def tokens_per_second(self) -> float:
        """Since the first update; 0 before there is anything to measure."""
        if not self._tokens or self._first is None:
            return 0.0
        return self._tokens / max(time.monotonic() - self._first, 1e-9)

    def _seconds_left(self, tokens: int) -> float:
        rate = self.tokens_per_second()
        return (self._total - self._done) * tokens / rate if rate else 0.0

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
