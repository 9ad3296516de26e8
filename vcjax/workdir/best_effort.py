"""What a run can do without, such as progress, times and traces: it never stops a run."""

import contextlib
from collections.abc import Iterator

_warned: set[str] = set()


@contextlib.contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Makes any error of the work inside a warning, one for each `what` in a process."""
    try:
        yield
    except Exception as error:
        warn(what, error)


def warn(what: str, error: BaseException | str) -> None:
    """Prints the warning, once for each `what` in a process."""
    if what in _warned:
        return
    _warned.add(what)
    reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
    with contextlib.suppress(OSError, ValueError):  # nobody may listen any more
        print(f"warning: {what}: {reason[0]}; the run goes on without", flush=True)
