"""The processes of a run: one, or many that do the same and share their devices as one mesh.

Each process reads the same files and computes the same plan. What touches files, clock or log is
done by the first alone; what the others need to know of it, `on_first` tells them.
"""

import contextlib
import hashlib
import itertools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from vcjax.errors import InputError
from vcjax.workdir import disk

# After how long a process that is not heard of counts as dead, which ends the others. JAX's own
# 100 s would keep a pod that works on nothing; a busy host misses a beat, but not all of this.
HEARTBEAT_SECONDS = 40
# How long a process that is done waits for the others to be done too. They are within seconds.
SHUTDOWN_SECONDS = 60
# How long the others wait for what the first does alone; a dead one ends them sooner.
FIRST_SECONDS = 24 * 60 * 60

_calls = itertools.count()  # names each wait; all processes make the same ones in the same order


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Works as one of many processes, to be entered before anything uses a device.

    What all of them meet alike (an InputError, a preemption) passes. What ends this one alone ends
    it at once: leaving in order would wait for the others, which may be gone already, or wait in a
    collective that this one no longer takes part in. That it is gone ends them too.
    """
    _start()
    try:
        yield
    except InputError:
        raise
    except KeyboardInterrupt:
        _leave("interrupted; to go on, start all processes again with the same command", 130)
    except jax.errors.JaxRuntimeError as error:  # as of a collective with a dead process
        reason = str(error).strip().splitlines()[0]
        who = f"process {jax.process_index()} of {jax.process_count()}"
        _leave(
            f"error: {who} cannot go on: {reason}. If another process ended, its log says "
            "why. Start all of them again with the same command; the run goes on from its last "
            "checkpoint",
            1,
        )
    except Exception as error:
        refusal = disk.explain(error)
        if refusal:
            _leave(f"error: {refusal}", 2)
        _leave(traceback.format_exc(), 1)


def _start() -> None:
    """InputError: there are none to join.

    JAX finds them on a TPU pod, under Slurm and in a GKE job; elsewhere, and first of all, counts
    what the environment says: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID.
    """
    try:
        jax.distributed.initialize(
            num_processes=_number("JAX_NUM_PROCESSES"),
            process_id=_number("JAX_PROCESS_ID"),
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        )
    except ValueError as error:
        raise InputError(
            f"--distributed: JAX found no cluster here ({error}); where there is one, set "
            "JAX_COORDINATOR_ADDRESS (host:port of the first process), JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID in each process, else leave --distributed out"
        ) from error
    if not is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the end)


def is_first() -> bool:
    return jax.process_index() == 0


def on_first(call: Callable[[], Any]) -> Any:
    """What call() returns, made by the first process alone, for all of them; they wait for it.

    Of many processes, it must be JSON. An InputError is raised in all of them.
    """
    if jax.process_count() == 1:
        return call()
    outcome: dict[str, Any] = {}
    if is_first():
        try:
            outcome = {"value": call()}
        except InputError as error:
            outcome = {"error": str(error)}
    outcome = _broadcast(outcome)
    if "error" in outcome:
        raise InputError(outcome["error"])
    return outcome["value"]


def agree(value: Any) -> bool:
    """Whether all processes have the same value, which must be JSON."""
    if jax.process_count() == 1:
        return True
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    _wait()
    digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
    return bool((digests == digests[0]).all())


def _leave(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def _number(variable: str) -> int | None:
    value = os.environ.get(variable)
    if value is None:
        return None
    if not value.isdecimal():
        raise InputError(f"{variable}={value}: give a whole number")
    return int(value)


def _wait() -> None:
    """Until all processes are here. A collective alone would not do: on a CPU it waits for 30 s."""
    key = f"vcjax-{next(_calls)}"
    multihost.get_barrier_sync_fn()(key=key, timeout_ms=FIRST_SECONDS * 1000)


def _broadcast(value: Any) -> Any:
    """The first process' value."""
    _wait()
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    sent = np.zeros(size, np.uint8)
    if is_first():
        sent[:] = text
    return json.loads(multihost_utils.broadcast_one_to_all(sent).tobytes())
