"""One process a workdir; of a run with many, the first holds it for all."""

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

BEAT_SECONDS = 30  # how often the object in a bucket is written again
FREE_SECONDS = 120  # how old it is when its process counts as dead


@contextlib.contextmanager
def hold(workdir: epath.Path) -> Iterator[None]:
    """Holds workdir/lock; raises InputError where another live process does."""
    hold_here = _hold_file if storage.is_local(workdir) else _hold_object
    with contextlib.ExitStack() as held:
        processes.on_first(lambda: held.enter_context(hold_here(workdir)))
        yield


@contextlib.contextmanager
def _hold_file(workdir: epath.Path) -> Iterator[None]:
    """The operating system drops the lock with the process that holds it, however that ends, so
    a dead one's is free. The file's text says whose it is: host, process, start.
    """
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir: {workdir} is a file; give a folder")
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
    """A bucket has no locks: an object there says whose it is and when that was last alive.

    This is best effort. It needs clocks that agree to some seconds, and two processes that start
    within the same second may both take it; the next beat then ends the one whose object was
    overwritten. What a kill left is free after FREE_SECONDS.
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
    thread = threading.Thread(target=_keep, args=(path, mine, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if _is_of(path, mine):
            path.unlink(missing_ok=True)


def _wait_until_free(workdir: epath.Path, path: epath.Path) -> None:
    """InputError as soon as the process that holds it shows that it is alive."""
    found = files.read_json(path)
    if found is None:
        return
    # Of a workdir that was copied from a disk the lock has no beat, and is free.
    wait = min(FREE_SECONDS - (time.time() - found.get("beat", 0)), FREE_SECONDS)
    if wait > 0:
        print(
            f"waiting up to {wait:.0f} s: {path} is of a process that may have been killed "
            f"({_name(found)})",
            flush=True,
        )
    end = time.monotonic() + wait
    while time.monotonic() < end:
        time.sleep(min(BEAT_SECONDS / 10, wait))
        now = files.read_json(path)
        if now is None:  # it ended
            return
        if now != found:
            raise _refusal(workdir, _name(now))


def _keep(path: epath.Path, mine: dict[str, Any], done: threading.Event) -> None:
    """Shows that this process is alive, until it is done; ends it where another took over."""
    while not done.wait(BEAT_SECONDS):
        # A beat that is lost for once does no harm, whatever the network raised.
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
    found = files.read_json(path)
    return found is not None and _name(found) == _name(mine)


def _name(holder: dict[str, Any]) -> str:
    return json.dumps({key: holder[key] for key in ("host", "process", "start")})


def _refusal(workdir: epath.Path, holder: str) -> InputError:
    return InputError(
        f"{workdir}: another process works here ({holder}); wait for it, end it, or give "
        "another --workdir"
    )
