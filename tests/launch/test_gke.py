import json
import subprocess
import sys

JOB = ("--workload=w", "--cluster=c", "--image=registry/vcjax", "--tpu-type=v5litepod-16")
JOB = (*JOB, "--num-slices=2", "--zone=z")


def test_builds_pushes_and_makes_the_jobset(bench):
    code, output = bench.run("gke/run.sh", *JOB, "--", *bench.flags)
    assert code == 0, output
    build, push, create = bench.calls
    image = push[-1]
    assert image.startswith("registry/vcjax:") and f"--tag={image}" in build
    assert (bench.checkout / "launch/gke/Dockerfile").is_file()
    assert build[-1] == "." and "--file=launch/gke/Dockerfile" in build
    assert {f"--docker-image={image}", "--num-slices=2", "--zone=z"} < set(create)
    assert "--restart-on-exit-codes=1,75" in create  # and never 2
    # As xpk's container runs it: bash -c, in the background, in parentheses.
    command = create[-1].removeprefix("--command=")
    assert "\n" not in command  # it is a line of YAML
    shown = subprocess.run(
        ["bash", "-c", f"({command}) & wait $!"],
        cwd=bench.checkout,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert shown.returncode == 0
    assert bench.hosts[0]["flags"] == ["tpu", "--distributed", *bench.flags]


def test_token_is_named_and_not_given(bench):
    names = "import pathlib, sys; print(pathlib.Path(sys.argv[1]).read_text(), end='')"
    read = f"{sys.executable} -ISc {json.dumps(names)}"
    bench.write("bin/xpk", f'#!/bin/sh\nfor word; do case "$word" in --env-file=*) {read} '
                '"${word#--env-file=}";; esac; done\n')  # fmt: skip
    code, output = bench.run("gke/run.sh", *JOB, "--", *bench.flags)
    assert (code, output) == (0, "HF_TOKEN\n")


def test_no_token(bench):
    assert bench.run("gke/run.sh", *JOB, "--", *bench.flags, HF_TOKEN="")[0] == 0
    assert not any("--env-file" in word for word in bench.calls[-1])


def test_dry_run(bench):
    code, output = bench.run("gke/run.sh", *JOB, "--dry_run", "--", *bench.flags)
    assert (code, bench.calls) == (0, [])
    assert [line.split()[0] for line in output.splitlines()] == ["docker", "docker", "xpk"]


def test_errors(bench):
    code, output = bench.run("gke/run.sh", *JOB[1:], "--", *bench.flags)
    assert (code, bench.calls) == (2, []) and "give --workload=..." in output
    code, output = bench.run("gke/run.sh", *JOB, "--", "--config=c.py", "--workdir=/tmp/x")
    assert (code, bench.calls) == (2, []) and "--workdir=gs://" in output
