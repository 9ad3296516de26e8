"""Runs of several real processes on this machine: the same result as one, whatever happens to them.

Each time four devices in all, so that the programs are the same. Processes of one run find each
other on a free port.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import small_run
from etils import epath

from vcjax.workdir import storage

DEVICES = 4


@pytest.fixture(scope="module")
def started(tiny_gguf, tmp_path_factory):
    """(config file, folder for workdirs, cache of compiled programs)."""
    folder = tmp_path_factory.mktemp("processes")
    return small_run.write_short(folder / "files", tiny_gguf), folder, folder / "cache"


@pytest.fixture(scope="module")
def undisturbed(started):
    """Of two processes."""
    _, folder, _ = started
    assert [p.returncode for p in finish(start(2, folder / "undisturbed", started))] == [0, 0]
    return folder / "undisturbed"


def start(
    count: int, workdir: os.PathLike, started, extra=(), command=None
) -> list[subprocess.Popen]:
    """count processes of one run, or of another command; extra: arguments of the last one alone.

    Each has its own cache of rows, as on a host of its own, which a run in a bucket reads.
    """
    config, folder, cache = started
    output = folder / Path(workdir).name
    environment = small_run.environment(cache)
    environment["JAX_NUM_CPU_DEVICES"] = str(DEVICES // count)
    arguments = command or small_run.command(config, workdir)
    if count > 1:
        arguments.append("--distributed")
        environment["JAX_COORDINATOR_ADDRESS"] = f"localhost:{free_port()}"
        environment["JAX_NUM_PROCESSES"] = str(count)
    return [
        subprocess.Popen(
            [*arguments, *(extra if i == count - 1 else ())],
            env={
                **environment,
                "JAX_PROCESS_ID": str(i),
                "XDG_CACHE_HOME": str(folder / f"host-{i}"),
            },
            stdout=output.with_suffix(f".{i}.out").open("w"),
            stderr=output.with_suffix(f".{i}.err").open("w"),
        )
        for i in range(count)
    ]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def finish(processes: list[subprocess.Popen], seconds: float = 600) -> list[subprocess.Popen]:
    """Waits for all of them; none outlives a test that fails."""
    try:
        deadline = time.monotonic() + seconds
        for process in processes:
            process.wait(max(0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
    return processes


def wait_for(pattern: str, workdir: epath.PathLike, processes: list[subprocess.Popen]) -> None:
    while not any(epath.Path(workdir).glob(pattern)):
        assert all(p.poll() is None for p in processes), "it ended before it could be disturbed"
        time.sleep(0.02)


def losses(workdir: Path) -> Iterator[float]:
    for path in sorted(workdir.glob("stages/*/metrics.jsonl")):
        for line in map(json.loads, path.read_text().splitlines()):
            yield line.get("held_out_loss", line.get("loss"))


# A line of Gloo, which several threads print in parts that come apart and run together.
GLOO = re.compile(
    r"(\[Gloo\] Rank|is connected to|peer ranks\.|Expected number of connected peer ranks is :"
    r"|\d|\s)*"
)


def own_lines(output: Path) -> list[str]:
    """What a process printed itself."""
    return [line for line in output.read_text().splitlines() if not GLOO.fullmatch(line)]


def assert_same(workdir: Path, expected_workdir: Path) -> None:
    result, expected = small_run.result(workdir), small_run.result(expected_workdir)
    assert result.keys() == expected.keys()
    assert [name for name in expected if result[name] != expected[name]] == []


def test_later_probes_are_scored_by_all_processes_of_a_run(started, undisturbed, tmp_path):
    """The run's own probes once more: the same answers, written once."""
    config, _, _ = started
    workdir = tmp_path / "probed"
    shutil.copytree(undisturbed, workdir)
    probes = config.with_name("probes.jsonl")
    command = [sys.executable, "-m", "vcjax.probe", f"--workdir={workdir}", f"--probes={probes}"]
    processes = start(2, workdir, started, command=command)
    assert [p.returncode for p in finish(processes)] == [0, 0]
    [folder] = [path for path in (workdir / "probes").iterdir() if path.is_dir()]
    for path in (workdir / "probes").glob("*.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / path.name), pd.read_parquet(path))
    printed = (started[1] / "probed.0.out").read_text()
    assert "Exploratory" in printed and "report: " in printed
    assert own_lines(started[1] / "probed.1.out") == []


@pytest.mark.parametrize("kind", ["said", "open"])
def test_what_two_processes_say_is_what_one_says(started, undisturbed, tmp_path, kind):
    """And the untouched model, sharded over both, judges."""
    config, _, _ = started
    small_run.write_spoken(config.parent)
    probes = config.with_name(f"{kind}.jsonl")
    tables = []
    for count in (1, 2):
        workdir = tmp_path / f"{kind}_by_{count}"
        shutil.copytree(undisturbed, workdir)
        ask = [sys.executable, "-m", "vcjax.probe", f"--workdir={workdir}", f"--probes={probes}"]
        processes = start(count, workdir, started, command=ask)
        assert [p.returncode for p in finish(processes)] == [0] * count
        [folder] = [path for path in (workdir / "probes").iterdir() if path.is_dir()]
        found = sorted(folder.glob("*.parquet"))
        tables.append({path.name: pd.read_parquet(path) for path in found})
    one, two = tables
    assert one.keys() == two.keys()
    assert len(one) == 3 * (1 if kind == "said" else 2), "arms; judgements beside open answers"
    for name, table in one.items():
        exact = [column for column in table if column not in ("score", "reply")]
        pd.testing.assert_frame_equal(two[name][exact], table[exact])
        if "score" in table:
            assert two[name]["score"].tolist() == pytest.approx(table["score"].tolist(), abs=1e-3)


def test_losses_are_those_of_one_process(started, undisturbed):
    workdir = started[1] / "alone"
    assert [p.returncode for p in finish(start(1, workdir, started))] == [0]
    all_losses = [*losses(undisturbed)]
    assert len(all_losses) == 2 * 5 + 4
    assert all_losses == pytest.approx([*losses(workdir)], rel=1e-5)


def test_the_first_process_alone_speaks(undisturbed):
    first = undisturbed.with_suffix(".0.out").read_text()
    assert "stage 1 of 2: america, seed 0" in first and "report: " in first
    assert own_lines(undisturbed.with_suffix(".1.out")) == []


@pytest.mark.parametrize("count", [2, 4])
def test_a_killed_process_ends_the_others_and_the_same_command_goes_on(count, started, undisturbed):
    workdir = started[1] / f"killed-{count}"
    processes = start(count, workdir, started)
    wait_for("stages/*/checkpoints/2", workdir, processes)
    processes[-1].kill()
    finish(processes, seconds=60)
    for i, process in enumerate(processes[:-1]):
        assert process.returncode not in (0, -signal.SIGKILL)
        # Whichever of us and JAX is first to find out.
        assert any(
            line in workdir.with_suffix(f".{i}.err").read_text()
            for line in ("the same command", "This most likely indicates that another task died")
        )
    assert [p.returncode for p in finish(start(count, workdir, started))] == [0] * count
    assert_same(workdir, undisturbed)


def test_a_killed_run_in_a_bucket_goes_on(started, undisturbed, gcs, tmp_path):
    workdir = storage.workdir(f"gs://bucket/{uuid.uuid4()}/in-bucket")
    processes = start(2, workdir, started)
    wait_for("stages/*/checkpoints/2/commit_success.txt", workdir, processes)
    processes[-1].kill()
    assert finish(processes, seconds=60)[0].returncode not in (0, -signal.SIGKILL)
    small_run.free_lock(workdir)
    assert [p.returncode for p in finish(start(2, workdir, started))] == [0, 0]
    storage.download(workdir, tmp_path / "run")
    assert_same(tmp_path / "run", undisturbed)
    rows = [sorted(p.name for p in (started[1] / f"host-{i}/vcjax/rows").iterdir()) for i in (0, 1)]
    assert rows[0] == rows[1] != []


def test_a_stopped_process_ends_the_others_too(started):
    """It is there, but silent, as behind a broken network; the others are not in a collective."""
    workdir = started[1] / "stopped"
    processes = start(2, workdir, started)
    wait_for("lock", workdir, processes)
    processes[1].send_signal(signal.SIGSTOP)
    try:
        assert processes[0].wait(60) != 0
    finally:
        finish(processes[:1])
        processes[1].kill()
    # JAX's words where the heartbeat noticed it, ours where something that waited for it did.
    errors = workdir.with_suffix(".0.err").read_text()
    assert "another task died" in errors or "process 0 of 2 cannot go on" in errors


def test_sigterm_to_one_stops_all_at_the_same_update_and_more_go_on(started, undisturbed):
    workdir = started[1] / "preempted"
    processes = start(2, workdir, started)
    wait_for("stages/*/stage.json", workdir, processes)
    processes[1].send_signal(signal.SIGTERM)
    assert [p.returncode for p in finish(processes)] == [75, 75]
    report = workdir.with_suffix(".0.out").read_text().splitlines()[-1]
    [stage] = (workdir / "stages").iterdir()
    last = max(int(p.name) for p in (stage / "checkpoints").iterdir())
    assert report == (
        f"america, seed 0: stopped by SIGTERM after update {last} of 5, saved; "
        "the same command goes on from here"
    )
    assert [p.returncode for p in finish(start(4, workdir, started))] == [0] * 4
    assert_same(workdir, undisturbed)


def test_processes_that_plan_different_things_are_refused(started):
    workdir = started[1] / "different"
    processes = finish(start(2, workdir, started, extra=["--config.checkpoint_every=3"]))
    assert [p.returncode for p in processes] == [2, 2]
    for i in (0, 1):
        assert "the processes do not plan the same" in workdir.with_suffix(f".{i}.err").read_text()
    assert not (workdir / "stages").exists()


def test_what_the_first_process_refuses_ends_all(started):
    workdir = started[1] / "file"
    workdir.write_text("no folder")
    processes = finish(start(2, workdir, started))
    assert [p.returncode for p in processes] == [2, 2]
    for i in (0, 1):
        assert "is a file; give a folder" in workdir.with_suffix(f".{i}.err").read_text()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "JAX found no cluster here"),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:1"}, "JAX found no cluster here"),
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES=two: give a whole number"),
    ],
)
def test_where_there_is_no_cluster(variables, message, started, tmp_path):
    config, _, cache = started
    done = subprocess.run(
        small_run.command(config, tmp_path / "run", "--distributed"),
        env={**small_run.environment(cache), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert message in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not os.path.exists(tmp_path / "run")
