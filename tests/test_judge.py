"""The command line of vcjax.judge: another judge, the same answers, no model."""

import sys

import pytest
import small_run
from etils import epath

from vcjax import experiment
from vcjax.report import reading

JUDGE = [sys.executable, "-m", "vcjax.judge"]


@pytest.fixture(scope="module")
def finished(tiny_gguf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    config = small_run.of_all_kinds(folder, tiny_gguf)
    workdir = tmp_path_factory.mktemp("run") / "run"
    experiment.run(config, folder, epath.Path(workdir), dry_run=False)
    return workdir


def judged(workdir):
    record = reading.read_ordered(epath.Path(workdir))
    return reading.read_answers(workdir / "probes", record, record.probes).open


def test_the_same_answers_are_judged_by_another(finished, tiny_gguf, tmp_path):
    before = judged(finished)
    tiny_gguf.rename(tmp_path / "away.gguf")  # no model is needed
    try:
        done = small_run.call([*JUDGE, f"--workdir={finished}", "--by=phrases"], tmp_path / "cache")
    finally:
        (tmp_path / "away.gguf").rename(tiny_gguf)
    assert done.returncode == 0, done.stderr
    assert "judge: phrases, 16 answers" in done.stdout
    after = judged(finished)
    assert after["answer"].tolist() == before["answer"].tolist()
    assert {*before["judge"]} == {"base model by log-probability"}
    assert {*after["judge"]} == {"phrases"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--by=nobody"], "config.judge.by: 'nobody'"),
        (["--by=endpoint"], "config.judge.url: it is empty; an endpoint needs it"),
        (["--url=http://localhost:1/v1"], "config.judge.url: only an endpoint has one"),
        (
            ["--by=endpoint", "--url=http://localhost:1/v1", "--model=x", "--key=VCJAX_NO_KEY"],
            "config.judge.key: the environment variable VCJAX_NO_KEY is not set",
        ),
    ],
)
def test_refused(finished, tmp_path, flags, message):
    done = small_run.call([*JUDGE, f"--workdir={finished}", *flags], tmp_path / "cache")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
