"""One process a workdir; of a run with many, the first holds it for all."""

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import psutil

from vcjax import processes
from vcjax.errors import InputError


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Holds workdir/lock; raises InputError where another live process does."""
    with contextlib.ExitStack() as held:
        processes.on_first(lambda: held.enter_context(_hold(workdir)))
        yield


@contextlib.contextmanager
def _hold(workdir: Path) -> Iterator[None]:
    """The operating system drops the lock with the process that holds it, however that ends, so
    a dead one's is free. The file's text says whose it is: host, process, start.
    """
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"--workdir: {workdir} is a file; give a folder")
    workdir.mkdir(parents=True, exist_ok=True)
    path = workdir / "lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text(encoding="utf-8").strip()
            raise InputError(
                f"{workdir}: another process works here ({holder}); wait for it, end it, or give "
                "another --workdir"
            ) from error
        file.truncate(0)
        json.dump(
            {
                "host": platform.node(),
                "process": os.getpid(),
                "start": psutil.Process().create_time(),
            },
            file,
        )
        file.flush()
        yield
