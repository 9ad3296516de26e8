"""SIGTERM and Ctrl-C to a run: what it says, its exit code, and that it goes on as if undisturbed.

Several processes: tests/test_processes.py.
"""

import signal
import subprocess
import time

import pytest
import small_run

from vcjax.workdir import preemption
from vcjax.workdir.files import read_json

SETTINGS = ("--config.stages.america.epochs=100", "--config.log_every=1")  # 450 updates
FEW_SAVED = (*SETTINGS, "--config.checkpoint_every=200")


@pytest.fixture(scope="module")
def files(tiny_gguf, tmp_path_factory):
    """(config file, cache of compiled programs, workdir of a run that nothing disturbed)."""
    folder = tmp_path_factory.mktemp("preemption")
    config, cache = small_run.write_short(folder / "files", tiny_gguf), folder / "cache"
    done = small_run.call(small_run.command(config, folder / "whole", *FEW_SAVED), cache)
    assert done.returncode == 0, done.stderr
    return config, cache, folder / "whole"


def interrupted(number, workdir, files, is_time):
    """(exit code, stdout, stderr) of a run that gets the signal when is_time()."""
    config, cache, _ = files
    with subprocess.Popen(
        small_run.command(config, workdir, *FEW_SAVED),
        env=small_run.environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not is_time():
            assert process.poll() is None, "it ended before the signal"
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


def steps(workdir):
    """Of the first stage: the last update that is logged, and those that are saved."""
    [stage] = [p.parent for p in workdir.glob("stages/*/metrics.jsonl")]
    logged = (stage / "metrics.jsonl").read_text().count('"loss"')
    return logged, sorted(int(p.name) for p in (stage / "checkpoints").iterdir())


def is_training(workdir, beyond=0):
    return lambda: any(workdir.glob("stages/*/metrics.jsonl")) and steps(workdir)[0] > beyond


def test_signals_in_training_and_probing_leave_the_result_bit_identical(files, tmp_path):
    config, cache, whole = files
    workdir = tmp_path / "run"

    code, output, _ = interrupted(signal.SIGTERM, workdir, files, is_training(workdir))
    assert code == 75
    logged, saved = steps(workdir)
    assert saved[-1] == logged, "at the very update"
    updates = max(
        s["updates"] for s in read_json(workdir / "config.json")["plan"]["stages"].values()
    )
    assert output.splitlines()[-1] == (
        f"america, seed 0: stopped by SIGTERM after update {logged} of {updates}, saved; "
        "the same command goes on from here"
    )
    assert logged not in (200, updates), "it came too late to test anything"

    code, _, errors = interrupted(signal.SIGINT, workdir, files, is_training(workdir, logged))
    assert code == 130
    assert errors.splitlines()[-1] == (
        "interrupted; to go on, start it again with the same command"
    )
    assert "Traceback" not in errors

    def is_trained():
        states = [read_json(p)["state"] for p in workdir.glob("stages/*/stage.json")]
        return states == ["done", "done"]

    code, output, errors = interrupted(signal.SIGTERM, workdir, files, is_trained)
    assert code == 75
    assert output.splitlines()[-1] == "stopped by SIGTERM; the same command goes on from here"
    assert "Traceback" not in errors
    assert not (workdir / "report").exists()

    done = small_run.call(small_run.command(config, workdir, *FEW_SAVED), cache)
    assert done.returncode == 0, done.stderr
    expected, result = small_run.result(whole), small_run.result(workdir)
    assert result.keys() == expected.keys()
    assert [name for name in expected if result[name] != expected[name]] == []


class PressesWhenCollected:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def handlers(monkeypatch):
    """Puts those of the two signals back."""
    monkeypatch.setattr(preemption, "_interrupted", False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("handlers")
def test_an_interrupt_that_meets_a_callback_is_not_lost():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    preemption.watch()
    assert not preemption.noticed()
    PressesWhenCollected()  # what it raises cannot leave __del__
    with pytest.raises(KeyboardInterrupt):
        preemption.noticed()


@pytest.mark.usefixtures("handlers")
def test_an_interrupt_that_the_shell_ignores_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preemption.watch()
    signal.raise_signal(signal.SIGINT)
    assert not preemption.noticed()
