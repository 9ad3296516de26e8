"""A workdir is held by one process; in a bucket by an object that shows that it is alive."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from vcjax.errors import InputError
from vcjax.workdir import files, lock, storage

HOLDER = """
import sys, time
from vcjax.workdir import lock, storage
lock.BEAT_SECONDS = 0.2
with lock.hold(storage.workdir(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(lock, "FREE_SECONDS", 3.0)


def holder(bucket):
    return json.loads((bucket / "lock").read_text())


def left_by_another(bucket, age):
    left = {"host": "other", "process": 1, "start": 2.0, "beat": time.time() - age}
    (bucket / "lock").write_text(json.dumps(left))


@contextlib.contextmanager
def another_process(bucket):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, bucket],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    workdir = storage.workdir(str(tmp_path / "file" / "run"))
    with pytest.raises(InputError, match=r"--workdir: .* cannot be written"), lock.hold(workdir):
        pass


def test_it_is_removed_at_the_end(bucket, quick):
    with lock.hold(bucket):
        assert set(holder(bucket)) == {"host", "process", "start", "beat"}
    assert not (bucket / "lock").exists()


def test_a_live_one_refuses_and_a_killed_one_is_waited_for(bucket, quick, capsys):
    with another_process(bucket) as process:
        with pytest.raises(InputError, match="another process works here"), lock.hold(bucket):
            pass
        process.send_signal(signal.SIGKILL)
    killed = holder(bucket)
    assert killed["process"] == process.pid
    with lock.hold(bucket):
        assert time.time() - killed["beat"] >= lock.FREE_SECONDS
        assert holder(bucket)["process"] == os.getpid()
    output = capsys.readouterr().out
    assert f"waiting up to 3 s: {bucket}/lock is of a process that may have been killed" in output
    assert f'"process": {process.pid}' in output


def test_one_that_was_taken_over_ends(bucket):
    with another_process(bucket) as process:
        while process.poll() is None:  # a beat may just have been on its way
            left_by_another(bucket, age=0)
            time.sleep(0.05)
        assert process.returncode == 1
        assert "another process took over" in process.stderr.read()
    assert holder(bucket)["host"] == "other"


def test_one_whose_lock_is_gone_ends(bucket):
    with another_process(bucket) as process:
        while process.poll() is None:
            (bucket / "lock").unlink(missing_ok=True)
            time.sleep(0.05)
        assert process.returncode == 1
    assert not (bucket / "lock").exists()


def test_one_that_was_copied_from_a_disk_is_free(bucket, capsys):
    files.write_json(bucket / "lock", {"host": "other", "process": 1, "start": 1.0})
    with lock.hold(bucket):
        assert holder(bucket)["host"] != "other"
    assert capsys.readouterr().out == ""


def test_an_old_one_is_free_at_once(bucket, capsys):
    left_by_another(bucket, age=lock.FREE_SECONDS + 1)
    with lock.hold(bucket):
        assert holder(bucket)["host"] != "other"
    assert capsys.readouterr().out == ""


def test_a_bucket_that_does_not_exist(bucket):
    missing = type(bucket)("gs://none/run")
    with pytest.raises(InputError, match="gs://none/run cannot be written"), lock.hold(missing):
        pass
