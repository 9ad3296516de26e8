"""What runs here: versions of vcjax and its packages, the machine, the commit."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

import vcjax

# The packages that compute, or read and write what is computed with.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


@functools.cache
def describe() -> dict[str, str]:
    """Name -> version, machine or commit, as they were when this process first asked."""
    return {
        "vcjax": vcjax.__version__,
        "commit": _commit() or "unknown",
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {jax.device_count()} x {jax.devices()[0].device_kind}",
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _commit() -> str | None:
    """The git commit of this code, "+changes" where the checkout has some."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode else done.stdout.strip()

    try:
        # Installed below somebody else's repository, this file is none of its own.
        is_own = git("ls-files", "--error-unmatch", Path(__file__).name) is not None
        head = git("rev-parse", "HEAD") if is_own else None
        return head and head + ("+changes" if git("status", "--porcelain") else "")
    except OSError:  # no git here
        return None
