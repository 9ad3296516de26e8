"""The environment of this process: versions of vcjax and its packages, machine, commit."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

import vcjax

# The packages that compute, and those that read and write weights, rows and checkpoints.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


@functools.cache
def describe() -> dict[str, str]:
    """Name -> version, machine or commit; as at the first call, whatever changes on disk later."""
    return {
        "vcjax": vcjax.__version__,
        "commit": _commit() or "unknown",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {jax.device_count()} x {jax.devices()[0].device_kind}",
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _commit() -> str | None:
    """The git commit of this code, with "+changes" where the checkout differs from it."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        result = subprocess.run(command, capture_output=True, text=True)
        return None if result.returncode else result.stdout.strip()

    try:
        # A package that is installed inside another repository is not a file of that.
        is_own = git("ls-files", "--error-unmatch", Path(__file__).name) is not None
        head = git("rev-parse", "HEAD") if is_own else None
        return head and head + ("+changes" if git("status", "--porcelain") else "")
    except OSError:  # no git here
        return None
