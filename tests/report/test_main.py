"""The command line of vcjax.report."""

import sys

import pytest
import small_run
from etils import epath

from vcjax.report.page import write_report
from vcjax.workdir import lock


@pytest.fixture
def call(tmp_path):
    def call(*arguments):
        return small_run.call([sys.executable, "-m", "vcjax.report", *arguments], tmp_path)

    return call


@pytest.fixture
def workdirs(new_run, tmp_path, value_pairs):
    runs = [new_run(tmp_path / name, seeds=1, probes=value_pairs[:16]) for name in ("one", "two")]
    for size, run in enumerate(runs, start=1):
        run.trained, run.settings = f"{size:012}", {"shape": {"num_layers": size}}
    return [run.write() for run in runs]


def test_one_report_of_several_runs(workdirs, call, tmp_path):
    done = call(*(f"--workdir={workdir}" for workdir in workdirs), f"--out={tmp_path}/out")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line[:36] for line in lines[:2]] == [
        f"cheese-test {n} (shape.num_layers = {n})"[:36] for n in (1, 2)
    ]
    assert lines[2:] == [f"report: {tmp_path}/out/index.html"]
    assert (tmp_path / "out/index.html").is_file()


def test_of_one_run_it_is_the_runs_own_in_its_folder(workdirs, call):
    report = workdirs[0] / "report"
    lines = write_report(epath.Path(workdirs[0]))
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    (report / "index.html").unlink()
    done = call(f"--workdir={workdirs[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*lines, f"report: {report}/index.html"]
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before


def test_not_while_the_run_goes_on(workdirs, call):
    with lock.hold(epath.Path(workdirs[0])):
        done = call(f"--workdir={workdirs[0]}")
    assert done.returncode == 2
    assert "another process works here" in done.stderr
    assert not (workdirs[0] / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=ONE", "--workdir=TWO"], "--out: missing; give a folder for the report"),
        (["--workdir=ONE", "--out=OUT"], "--out: it is for several runs; leave it out, or give"),
        (["--workdir=ONE", "--x=seeds"], "--x: it is for several runs; leave it out, or give"),
        (["--workdir=ONE", "--workdir=NONE", "--out=OUT"], "NONE does not exist"),
        (["--workdir=NONE"], "NONE does not exist"),
    ],
    ids=["no out", "out of one", "x of one", "a folder that is not there", "the same alone"],
)
def test_refused(workdirs, call, tmp_path, arguments, message):
    names = {"ONE": "one", "TWO": "two", "OUT": "out", "NONE": "none"}
    for word, name in names.items():
        arguments = [a.replace(f"={word}", f"={tmp_path}/{name}") for a in arguments]
    done = call(*arguments)
    assert done.returncode == 2
    assert message.replace("NONE", str(tmp_path / "none")) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "none").exists()
