"""Preemption: at SIGTERM the machine will be taken away soon, so the run saves and exits.

The exit code 75 (EX_TEMPFAIL of sysexits.h) tells a launcher to start the same command again, which
goes on from the last checkpoint.
"""

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

EXIT_CODE = 75

_arrived = False
_interrupted = False
_deferred = False
_points = itertools.count(1)  # JAX numbers the points of the program where it may stop


class Preempted(BaseException):
    """Ends the command. It is no Exception, so that, like KeyboardInterrupt, nothing catches it."""

    def __str__(self) -> str:
        return f"{super().__str__() or 'stopped by SIGTERM'}; the same command goes on from here"


def watch() -> None:
    """Makes SIGTERM end this process at once, except within `deferred`. Handles Ctrl-C as well.

    `jax.distributed.initialize` replaces the handler of SIGTERM with its own, which tells all
    processes and knows of the maintenance of TPUs too; they then stop where `noticed` is true.
    """
    signal.signal(signal.SIGTERM, _arrive)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell ignores it
        signal.signal(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Within it SIGTERM only makes `noticed` true, so that the work is saved before it stops."""
    global _deferred
    _deferred = True
    try:
        yield
    finally:
        _deferred = False


def noticed() -> bool:
    """Whether to stop here. Many processes must call it at the same points of their work.

    They get the same answer, even where the signal reached one of them only: JAX agrees with all
    processes in the background on the next point that none has passed yet.

    Raises KeyboardInterrupt after a Ctrl-C whose exception was lost in a callback.
    """
    import jax
    from jax.experimental import multihost_utils

    if _interrupted:
        raise KeyboardInterrupt
    if jax.distributed.is_initialized():
        return multihost_utils.reached_preemption_sync_point(next(_points))
    return _arrived


def stop_if_noticed() -> None:
    """Raises Preempted where `noticed`; for points where there is nothing to save."""
    if noticed():
        raise Preempted


def _interrupt(number: int, frame: Any) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def _arrive(number: int, frame: Any) -> None:
    global _arrived
    _arrived = True
    if _deferred:
        return
    # Files on the disk are whole at any time, so the process may exit here. An exception would be
    # lost in a callback that cannot raise, of which JAX has many.
    with contextlib.suppress(RuntimeError):  # the signal came while something was printed
        print(Preempted(), flush=True)
    os._exit(EXIT_CODE)
