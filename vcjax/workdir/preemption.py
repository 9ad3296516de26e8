"""SIGTERM: the machine is about to be taken away, so save and leave, to be started again.

The same command goes on. Exit code 75 (EX_TEMPFAIL of sysexits.h, "try again") tells a launcher.
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
_points = itertools.count(1)  # JAX wants each of its questions numbered, over all stages


class Preempted(BaseException):
    """As KeyboardInterrupt, no error that anybody should catch on its way to the command."""

    def __str__(self) -> str:
        return f"{super().__str__() or 'stopped by SIGTERM'}; the same command goes on from here"


def watch() -> None:
    """From now on SIGTERM ends this process at once, except while `deferred`.

    `jax.distributed.initialize` takes the signal over: it tells all processes, and it knows of a
    TPU's maintenance too. They then stop where `noticed` says so. Ctrl-C is watched as well.
    """
    signal.signal(signal.SIGTERM, _arrive)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may ignore it
        signal.signal(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Work that `noticed` interrupts where it can be saved, and nothing else does."""
    global _deferred
    _deferred = True
    try:
        yield
    finally:
        _deferred = False


def noticed() -> bool:
    """Whether to stop here. Of many processes all ask at the same points of their work.

    They hear the same answer, however few the signal reached and however far apart they are: JAX
    agrees with them in the background on the next point that none has passed yet.

    Raises KeyboardInterrupt where one was lost on its way here.
    """
    import jax
    from jax.experimental import multihost_utils

    if _interrupted:
        raise KeyboardInterrupt
    if jax.distributed.is_initialized():
        return multihost_utils.reached_preemption_sync_point(next(_points))
    return _arrived


def stop_if_noticed() -> None:
    """For where nothing is left to save."""
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
    # What lies on the disk is whole at any time. An exception would be lost where it happens to
    # meet a callback that cannot raise, of which JAX has many.
    with contextlib.suppress(RuntimeError):  # the signal came while something was printed
        print(Preempted(), flush=True)
    os._exit(EXIT_CODE)
