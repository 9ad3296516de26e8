"""A small checkout with the real launchers, and programs that stand in for those they call."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"
# Notes its arguments, leaves with the next of the planned exit codes; "hang" waits for a signal.
HOST = """#!/usr/bin/env bash
here={here}
{python} -ISc 'import json, os, sys
words = [os.environ.get(k, "") for k in ("HF_TOKEN", "JAX_COORDINATOR_ADDRESS",
                                         "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")]
print(json.dumps(dict(flags=sys.argv[1:], token=words[0], jax=words[1:])))' "$@" >>$here/hosts.jsonl
code="$(head -n 1 $here/codes)"
sed -i 1d $here/codes
echo "log of start $(wc -l <$here/hosts.jsonl)"
trap 'exit 75' TERM
touch $here/ready
while [ "$code" = hang ] && [ "$SECONDS" -lt 60 ]; do
  /bin/sleep 0.05
done
exit "${{code:-0}}"
"""


class Bench:
    """Runs launchers. `calls`: what they called; `hosts`: how launch/host.sh was started."""

    token = "hf_not_to_be_seen"
    flags = (  # what a shell would take apart
        "--config=configs/cheese.py:smoke",
        "--config.names=dict(model_name='My model', note=\"it's\")",
        "--config.text=$HOME `id` * \\ & ; # ~",
        "--config.empty=",
        "--workdir=gs://bucket/run",
        "--dry_run",
    )

    def __init__(self, path: Path):
        self.path = path
        self.checkout = path / "checkout"
        shutil.copytree(LAUNCH, self.checkout / "launch")
        self.write("checkout/launch/environment.sh", 'install_vcjax() { echo "installed: $1"; }\n')
        host = HOST.format(here=path, python=sys.executable)
        self.write("checkout/launch/host.sh", host)
        self.started: list[subprocess.Popen] = []
        self.plan()
        self.codes()
        for tool in ("gcloud", "xpk", "docker", "sbatch", "srun", "scontrol"):
            stand_in = f"{sys.executable} -IS {Path(__file__).parent / 'stand_in.py'} {tool}"
            self.write(f"bin/{tool}", f'#!/bin/sh\nexec {stand_in} "$@"\n')
        self.write("bin/sleep", "#!/bin/sh\n")
        for i in range(2):
            (path / f"worker{i}").mkdir()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def plan(self, **plan) -> None:
        self.write("plan.json", json.dumps(plan))

    def codes(self, *codes) -> None:
        """The exit codes of vcjax.main, one a start; 0 after them."""
        self.write("codes", "".join(f"{code}\n" for code in codes))

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen:
        environment = {
            **{"HOME": str(self.path), "HF_TOKEN": self.token, "STAND_IN": str(self.path)},
            **{"PATH": f"{self.path / 'bin'}:{os.environ['PATH']}"},
            **{"TMPDIR": str(self.path)},
            **environment,
        }
        process = subprocess.Popen(
            ["bash", str(self.checkout / "launch" / script), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.checkout,
            env=environment,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, script: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit code, and what was printed. The token is never in it, nor in any call."""
        return self.end(self.start(script, *arguments, **environment))

    def end(self, process: subprocess.Popen) -> tuple[int, str]:
        output, _ = process.communicate(timeout=60)
        assert self.token not in output
        assert self.token not in json.dumps(self.calls)
        assert not list(self.path.glob("tmp.*")), "the scratch folder is left behind"
        return process.returncode, output

    def interrupt(self, process: subprocess.Popen, number: signal.Signals) -> None:
        """As a terminal does it, once vcjax.main is running."""
        self.wait_for((self.path / "ready").exists)
        os.killpg(process.pid, number)

    def wait_for(self, condition) -> None:
        for _ in range(600):
            if condition():
                return
            time.sleep(0.05)
        raise AssertionError("it did not come to that in 30 s")

    @property
    def calls(self) -> list[list[str]]:
        return lines(self.path / "calls.jsonl")

    @property
    def hosts(self) -> list[dict]:
        return lines(self.path / "hosts.jsonl")

    @property
    def verbs(self) -> list[str]:
        """gcloud's, in order; what tpu_worker.sh did instead of ssh; list left out."""
        verbs = [
            call[-1].split()[2] if call[4] == "ssh" else call[4]
            for call in self.calls
            if call[0] == "gcloud"
        ]
        return [verb for verb in verbs if verb != "list"]


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def bench(tmp_path: Path):
    bench = Bench(tmp_path)
    yield bench
    for process in bench.started:  # where a test failed, it is running still
        process.kill()
    for pid in tmp_path.glob("worker*/vcjax-run/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
