"""The processes of a run: one, or many that run the same program on one mesh of devices.

Each process reads the same files and computes the same plan. The first alone writes files, reads
the clock and prints; `on_first` gives its results to the others.
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

from vcjax.errors import InputError, first_line
from vcjax.workdir import disk

# A process without heartbeats for so long counts as dead, which ends the others. JAX's default of
# 100 s would let a pod idle for longer; a busy host misses a heartbeat, but not all of 40 s.
HEARTBEAT_SECONDS = 40
# So long a finished process waits for the others, which finish within seconds.
SHUTDOWN_SECONDS = 60
# So long the others wait for the work of the first; where it dies, they end sooner.
FIRST_SECONDS = 24 * 60 * 60

_calls = itertools.count()  # the names of barriers; all processes pass the same ones in order


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Joins this process to the others of the run; to be entered before anything uses a device.

    Errors that all processes raise (InputError, Preempted) pass. Any other error exits this process
    at once, which ends the others too. An orderly shutdown would not do: it waits for the others,
    which may be gone, or may wait in a collective operation for this one.
    """
    _start()
    try:
        yield
    except InputError:
        raise
    except KeyboardInterrupt:
        _leave("interrupted; to go on, start all processes again with the same command", 130)
    except jax.errors.JaxRuntimeError as error:  # for example a collective with a dead process
        who = f"process {jax.process_index()} of {jax.process_count()}"
        _leave(
            f"error: {who} cannot go on: {first_line(error)}. If another process ended, its log "
            "says why. Start all of them again with the same command; the run goes on from its "
            "last checkpoint",
            1,
        )
    except Exception as error:
        refusal = disk.explain(error)
        if refusal:
            _leave(f"error: {refusal}", 2)
        _leave(traceback.format_exc(), 1)


def _start() -> None:
    """Connects to the other processes; raises InputError where JAX sees no cluster.

    JAX knows the cluster on a TPU pod, under Slurm and in a GKE job. The environment variables
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID go before that.
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
    """Runs `call` in the first process alone, and returns its value in all of them.

    The others wait. With many processes the value must be JSON. An InputError is raised in all.
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
    """Whether `value`, which must be JSON, is the same in all processes."""
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
    """Waits for all processes. A collective alone would time out after 30 s on a CPU."""
    key = f"vcjax-{next(_calls)}"
    multihost.get_barrier_sync_fn()(key=key, timeout_ms=FIRST_SECONDS * 1000)


def _broadcast(value: Any) -> Any:
    """The value of the first process, in all of them."""
    _wait()
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    sent = np.zeros(size, np.uint8)
    if is_first():
        sent[:] = text
    return json.loads(multihost_utils.broadcast_one_to_all(sent).tobytes())
