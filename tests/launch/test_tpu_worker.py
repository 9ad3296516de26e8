"""tpu_worker.sh as gcloud calls it, in a folder that stands for a worker's home."""

import shutil
import subprocess

import pytest


@pytest.fixture
def worker(bench):
    home = bench.path / "worker0"
    shutil.copy(bench.checkout / "launch" / "tpu_worker.sh", home)
    shutil.make_archive(str(home / "vcjax"), "gztar", bench.checkout)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def call(*arguments: str) -> subprocess.CompletedProcess:
        command = ["bash", str(home / "tpu_worker.sh"), *arguments]
        return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)

    return call


def test_a_repeated_start_starts_nothing(bench, worker):
    bench.codes("hang")
    assert worker("install").returncode == 0
    for _ in range(2):
        assert worker("start", "--config=c.py").returncode == 0
        bench.wait_for((bench.path / "ready").exists)
    assert len(bench.hosts) == 1
    other = worker("start", "--config=other.py")
    assert other.returncode == 2 and "another run is going on here: --config=c.py" in other.stderr


def test_an_install_leaves_a_running_checkout_alone(bench, worker):
    bench.codes("hang")
    worker("install")
    mark = bench.path / "worker0" / "vcjax" / "mark"
    mark.touch()
    worker("start")
    bench.wait_for((bench.path / "ready").exists)
    assert worker("install").returncode == 0 and mark.exists()


def test_an_install_without_a_run_takes_nothing_over(bench, worker):
    worker("install")
    mark = bench.path / "worker0" / "vcjax" / "mark"
    mark.touch()
    assert worker("install").returncode == 0 and not mark.exists()


def test_an_install_that_fails_says_so(bench, worker):
    (bench.path / "worker0" / "vcjax.tar.gz").write_text("not an archive")
    assert worker("install").returncode != 0


def test_follow_shows_all_and_leaves_with_the_code(bench, worker):
    bench.codes(75)
    worker("install")
    worker("start")
    for _ in range(2):  # the second time after a lost connection
        followed = worker("follow")
        assert (followed.returncode, followed.stdout) == (75, "log of start 1\n")
