"""What a disk refuses is one line with path and remedy, whoever met it; nothing else is hidden."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from vcjax.workdir import best_effort, disk, files


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
def test_an_error_of_the_operating_system(number):
    line = disk.explain(OSError(number, os.strerror(number), "/run/rows"))
    assert line.startswith(f"/run/rows: {os.strerror(number)}; ") and "\n" not in line


def test_an_error_of_tensorstore():
    text = (
        'RESOURCE_EXHAUSTED: Error writing "x/0" in OCDBT database at local file "/run/c/": '
        'Failed writing: "/run/c/d/25": Failed to write 7 bytes: No space left on device '
        "[os_error_code='28']"
    )
    assert disk.explain(ValueError(text)).startswith("/run/c/d/25: No space left on device; free")


def test_the_path_is_that_of_the_error_that_knows_it():
    try:
        try:
            raise OSError(errno.ENOSPC, "full", "/run/metrics.jsonl")
        finally:
            raise OSError(errno.ENOSPC, "full")  # as closing the file does once more
    except OSError as error:
        assert disk.explain(error).startswith("/run/metrics.jsonl: ")


@pytest.mark.parametrize(
    "error", [ValueError("shape [28]"), ConnectionError(111, "refused"), FileNotFoundError(2, "")]
)
def test_what_is_no_refusal_of_a_disk_is_not_explained(error):
    assert disk.explain(error) is None


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), RuntimeError("No space left on device")]
)
def test_an_error_without_a_path_gets_it(error, tmp_path):
    with pytest.raises(OSError) as caught, disk.writing(tmp_path / "rows"):
        raise error
    assert disk.explain(caught.value).startswith(f"{tmp_path / 'rows'}: No space left on device")


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path):
    path, limits = tmp_path / "a.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    files.write_json(path, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            files.write_text(path, 100 * "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert disk.explain(caught.value).startswith(f"{path}: File too large")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"] and files.read_json(path) == 1


COMMAND = """
import sys
from vcjax import command
sys.argv = ["x"]
def main():
    open("{path}/" + 300 * "x", "w")
command.run(main, required=[])
"""


def test_a_command_ends_with_one_line(tmp_path):
    code = COMMAND.format(path=tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/xxx") and done.stderr.count("\n") == 1
    assert "give a shorter path" in done.stderr


def test_what_a_run_can_do_without_is_one_warning(capsys):
    for _ in range(2):
        with best_effort.best_effort("the trace of this test"):
            raise OSError(errno.ENOSPC, "full")
    assert capsys.readouterr().out == (
        "warning: the trace of this test: [Errno 28] full; the run goes on without\n"
    )


def test_times_that_cannot_be_read_stop_nothing(tmp_path, capsys):
    (tmp_path / "times.json").write_text("{")
    files.note_time(tmp_path, "stages/a", 1.0)
    assert "times.json" in capsys.readouterr().out
    assert (tmp_path / "times.json").read_text() == "{"
