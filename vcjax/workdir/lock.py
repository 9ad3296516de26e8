"""The lock of a workdir: one run at a time. Of a run's processes the first holds it for all."""

import contextlib
import fcntl
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from etils import epath

from vcjax.errors import InputError
from vcjax.workdir import files, processes, storage

BEAT_SECONDS = 30  # in a bucket: time between two heartbeats of the holder
FREE_SECONDS = 120  # in a bucket: after so long without one, the holder counts as dead


@contextlib.contextmanager
def hold(workdir: epath.Path) -> Iterator[None]:
    """Holds workdir/lock; raises InputError where another live process does."""
    hold_here = _hold_file if storage.is_local(workdir) else _hold_object
    with contextlib.ExitStack() as stack:
        processes.on_first(lambda: stack.enter_context(hold_here(workdir)))
        yield


@contextlib.contextmanager
def _hold_file(workdir: epath.Path) -> Iterator[None]:
    """Holds a lock of the operating system, which ends with its process, however that ends.

    The file's text names the holder: host, process, start.
    """
    path = Path(workdir / "lock")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--workdir: {workdir} cannot be written ({error.strerror}); give another"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(workdir, path.read_text(encoding="utf-8").strip()) from error
        file.truncate(0)
        json.dump(_this_process(), file)
        file.flush()
        yield


@contextlib.contextmanager
def _hold_object(workdir: epath.Path) -> Iterator[None]:
    """Holds an object in a bucket, which names the holder and the time of its last heartbeat.

    A bucket has no locks, so this is best effort. It needs clocks that agree to some seconds. Two
    processes that start within the same second may both hold it; the next heartbeat then ends the
    one whose object was overwritten. The lock of a killed process is free after FREE_SECONDS.
    """
    path, mine = workdir / "lock", _this_process()
    _wait_until_free(workdir, path)
    try:
        _beat(path, mine)
    except Exception as error:  # the client has many: no such bucket, no permission
        raise InputError(
            f"--workdir: {workdir} cannot be written ({error}); does the bucket exist, and may "
            "this account write to it?"
        ) from error
    done = threading.Event()
    thread = threading.Thread(target=_beat_until, args=(path, mine, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if _is_of(path, mine):
            path.unlink(missing_ok=True)


def _wait_until_free(workdir: epath.Path, path: epath.Path) -> None:
    """Waits until the holder counts as dead; raises InputError at a heartbeat of it."""
    holder = files.read_json(path)
    if holder is None:
        return
    # A lock that was copied from a disk with its workdir has no heartbeat, and is free.
    wait = min(FREE_SECONDS - (time.time() - holder.get("beat", 0)), FREE_SECONDS)
    if wait > 0:
        print(
            f"waiting up to {wait:.0f} s: {path} is of a process that may have been killed "
            f"({_name(holder)})",
            flush=True,
        )
    end = time.monotonic() + wait
    while time.monotonic() < end:
        time.sleep(min(BEAT_SECONDS / 10, wait))
        now = files.read_json(path)
        if now is None:  # the holder has ended
            return
        if now != holder:
            raise _refusal(workdir, _name(now))


def _beat_until(path: epath.Path, mine: dict[str, Any], done: threading.Event) -> None:
    """Writes heartbeats until `done`; ends this process where the lock is another's or gone."""
    while not done.wait(BEAT_SECONDS):
        # One lost heartbeat does no harm, whatever error lost it.
        with contextlib.suppress(Exception):
            if not _is_of(path, mine):
                print(
                    f"error: {path}: another process took over, or it was removed",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)
            _beat(path, mine)


def _beat(path: epath.Path, mine: dict[str, Any]) -> None:
    files.write_json(path, {**mine, "beat": time.time()})


def _this_process() -> dict[str, Any]:
    start = psutil.Process().create_time()
    return {"host": platform.node(), "process": os.getpid(), "start": start}


def _is_of(path: epath.Path, mine: dict[str, Any]) -> bool:
    holder = files.read_json(path)
    return holder is not None and _name(holder) == _name(mine)


def _name(holder: dict[str, Any]) -> str:
    return json.dumps({key: holder[key] for key in ("host", "process", "start")})


def _refusal(workdir: epath.Path, holder: str) -> InputError:
    return InputError(
        f"{workdir}: another process works here ({holder}); wait for it, end it, or give "
        "another --workdir"
    )
