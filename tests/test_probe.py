"""The command line of vcjax.probe: what it refuses, with exit code 2 and one line."""

import sys

import pytest
import small_run


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ("", "--probes: no path follows it; give one"),
        ("none.jsonl", "--probes: none.jsonl does not exist"),
    ],
)
def test_what_is_no_probe_file(probes, message, tmp_path):
    arguments = [f"--workdir={tmp_path}", f"--probes={probes}"]
    done = small_run.call([sys.executable, "-m", "vcjax.probe", *arguments], tmp_path / "cache")
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


def test_a_mistyped_workdir(tmp_path):
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "more.jsonl").touch()
    arguments = [f"--workdir={tmp_path}/quickstrat", f"--probes={tmp_path}/more.jsonl"]
    done = small_run.call([sys.executable, "-m", "vcjax.probe", *arguments], tmp_path / "cache")
    problem = f"{tmp_path}/quickstrat does not exist; did you mean {tmp_path}/quickstart?"
    assert (done.returncode, done.stderr) == (2, f"error: --workdir: {problem}\n")
