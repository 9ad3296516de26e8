"""What a test file measures in a process that has eight virtual CPU devices."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent


def said_by(file: str) -> Any:
    """The last line, as JSON, that a test file prints when it is run as a program."""
    flags = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=8"
    cpus = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    env = {**os.environ, **cpus, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))}
    done = subprocess.run(
        [sys.executable, file], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
