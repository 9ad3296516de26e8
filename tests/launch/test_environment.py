"""What environment.sh installs, seen by a stand-in for the Python of the virtual environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
# Notes what follows "-m pip install"; fails where that names the file in $REFUSED.
PYTHON = """#!/usr/bin/env bash
echo "${{@:4}}" >>{calls}
[[ "$*" != *"${{REFUSED:-none}}"* ]]
"""
LOCKED = "-qq --require-hashes --no-deps --no-build-isolation --use-pep517"


class Checkout:
    """`calls`: what pip was called with, since the last look."""

    def __init__(self, path):
        self.path = path
        shutil.copytree(LAUNCH, path / "launch")
        shutil.copy(LAUNCH.parent / "pyproject.toml", path)
        (path / ".venv/bin").mkdir(parents=True)
        (path / ".venv/pyvenv.cfg").touch()
        for name in ("python", "pip"):
            (path / ".venv/bin" / name).write_text(PYTHON.format(calls=path / "calls"))
            (path / ".venv/bin" / name).chmod(0o755)

    def install(self, *extras, **environment):
        command = ". launch/environment.sh && install_vcjax " + " ".join(extras)
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self):
        calls = self.path / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_all_comes_from_lock_files_with_hashes(checkout):
    assert checkout.install("test", "cloud").returncode == 0
    assert checkout.calls == [
        f"{LOCKED} -r launch/lock/build.txt",
        f"{LOCKED} -r launch/lock/base.txt -r launch/lock/test.txt -r launch/lock/cloud.txt",
        "-qq --no-build-isolation --no-deps --editable .",
    ]


def test_an_extra_without_a_lock_file_comes_on_top_and_is_named(checkout):
    installed = checkout.install("gpu", "test", "peers")
    *_, locked, editable, unlocked = checkout.calls
    assert locked.endswith("-r launch/lock/base.txt -r launch/lock/test.txt")
    assert editable.endswith("--no-deps --editable .")
    assert unlocked == "-qq --no-build-isolation --editable .[gpu,peers]"
    assert installed.stdout.count("has no versions for gpu,peers:") == 1


def test_pytorch_for_the_cpu_comes_first(checkout):
    checkout.install("parity")
    torch = [call.split("/")[-1] for call in checkout.calls if "torch" in call]
    assert torch == ["torch_cpu.txt"]


def test_pytorch_with_cuda_where_there_is_no_cpu_build(checkout):
    assert checkout.install("parity", REFUSED="torch_cpu.txt").returncode == 0
    torch = [call.split("/")[-1] for call in checkout.calls if "torch" in call]
    assert torch == ["torch_cpu.txt", "torch.txt"]


def test_installs_once_and_again_when_a_lock_file_changes(checkout):
    checkout.install()
    assert checkout.calls
    again = checkout.install()
    assert checkout.calls == [] and again.stdout == ""
    with open(checkout.path / "launch/lock/base.txt", "a") as lock:
        lock.write("# raised\n")
    checkout.install()
    assert any("base.txt" in call for call in checkout.calls)


def test_earlier_extras_stay(checkout):
    checkout.install("test")
    checkout.install("tpu")
    assert any("test.txt -r launch/lock/tpu.txt" in call for call in checkout.calls)
    checkout.install("test")
    assert checkout.calls == []


@pytest.mark.parametrize("refused", ["base.txt", "--editable"])
def test_what_failed_is_installed_again(checkout, refused):
    assert checkout.install(REFUSED=refused).returncode != 0
    assert checkout.install().returncode == 0
    assert any("--editable" in call for call in checkout.calls)
