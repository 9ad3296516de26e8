"""quickstart.sh runs the world, then the cheese experiment, or the one that is asked for."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
# Notes each run; what it is called for otherwise, as to install, succeeds.
PYTHON = """#!/usr/bin/env bash
[[ "$*" != "-m vcjax.main"* ]] || echo "${@:3}" >>calls
[[ "$*" != *"${REFUSED:-none}"* ]]
"""
WORLD = "--config=configs/world.py:quickstart --workdir=runs/world-quickstart"
CHEESE = "--config=configs/quickstart.py --workdir=runs/quickstart"


@pytest.fixture
def quickstart(tmp_path):
    """Runs the script: (exit code, what it wrote, the runs that it started)."""
    shutil.copytree(LAUNCH, tmp_path / "launch")
    shutil.copy(LAUNCH.parent / "pyproject.toml", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/pyvenv.cfg").touch()
    for name in ("python", "pip"):
        (tmp_path / ".venv/bin" / name).write_text(PYTHON)
        (tmp_path / ".venv/bin" / name).chmod(0o755)

    def run(*arguments, **environment):
        done = subprocess.run(
            ["bash", "launch/quickstart.sh", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
        )
        calls = tmp_path / "calls"
        started = calls.read_text().splitlines() if calls.exists() else []
        return done.returncode, done.stdout + done.stderr, started

    return run


def test_both_run_the_world_first(quickstart):
    code, _, started = quickstart()
    assert (code, started) == (0, [WORLD, CHEESE])


@pytest.mark.parametrize(("only", "run"), [("world", WORLD), ("cheese", CHEESE)])
def test_one_of_them_with_arguments(quickstart, only, run):
    code, _, started = quickstart(f"--only={only}", "--workdir=my runs", "--config.seeds=1")
    assert (code, started) == (0, [f"{run} --workdir=my runs --config.seeds=1"])


def test_a_signal_reaches_the_world(quickstart, tmp_path):
    """As a container or a scheduler sends it: to the script alone."""
    python = tmp_path / ".venv/bin/python"
    python.write_text(
        '#!/usr/bin/env bash\n[[ "$*" == *world.py* ]] || exit 0\n'
        "trap 'echo saved >>calls; exit 75' TERM\ntouch started\nwhile :; do sleep 0.1; done\n"
    )
    script = subprocess.Popen(
        ["bash", "launch/quickstart.sh"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}
    )
    while not (tmp_path / "started").exists():
        assert script.poll() is None, "it ended before the signal"
        time.sleep(0.05)
    script.terminate()
    assert script.wait(timeout=20) == 75
    assert (tmp_path / "calls").read_text() == "saved\n"


def test_a_run_that_fails_stops_there(quickstart):
    code, _, started = quickstart(REFUSED="world.py")
    assert code and started == [WORLD]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only=tea"], "--only=tea: the two are --only=world and --only=cheese"),
        (["--workdir=runs/mine"], "--workdir: two runs cannot have one folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(quickstart, arguments, message):
    code, written, started = quickstart(*arguments)
    assert (code, started) == (2, []) and message in written
