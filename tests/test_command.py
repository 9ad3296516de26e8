"""What a config file does wrong is one line; closed and narrow outputs end no run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vcjax import command
from vcjax.errors import InputError


def refused(given: str) -> str:
    """What is said of a --config."""
    with pytest.raises(InputError) as error:
        command._ConfigFile().parse(given)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "small.py has no function get_config(arg)"),
        ("def get_config(arg):\n  return 1 / 0", "small.py, line 2: ZeroDivisionError: division"),
        ("import nothing_such", "small.py, line 1: ModuleNotFoundError: No module named"),
        ("def get_config(:", "small.py, line 1: invalid syntax"),
        ("def get_config(arg):\n\n  open('gone')", "small.py, line 3: FileNotFoundError: "),
        ("def get_config(arg):\n  exit(0)", "small.py, line 2: SystemExit: 0"),
        ("def get_config(arg):\n  {}['a']", "small.py, line 2: KeyError: 'a'"),
        (
            "def get_config(arg):\n  return",
            "of {}/small.py returned None; expected what",
        ),
        ("def get_config(arg):\n  return {}", "returned {{}}; expected what vcjax.config.exp"),
        ("def get_config():\n  return", "small.py: TypeError: get_config() takes 0 positional"),
        (
            "from vcjax.config import experiment\n"
            "def get_config(arg):\n"
            "  config = experiment()\n"
            "  config.seeds = 1.5",
            "small.py, line 4: TypeError: Could not override field 'seeds'",
        ),
        (
            "from vcjax.config import recipe\ndef get_config(arg):\n  recipe(rnk=3)",
            "unknown config key recipe.rnk; did you mean recipe.rank?",
        ),
    ],
)
def test_a_config_files_fault_is_said_with_its_line(text, message, tmp_path):
    (tmp_path / "small.py").write_text(text)
    assert message.format(tmp_path) in refused(f"{tmp_path}/small.py:argument")


def test_what_is_no_config_file(tmp_path):
    assert refused("") == refused("--workdir=x") == "--config: no path follows it; give one"
    assert refused(str(tmp_path)) == f"--config: {tmp_path} is a folder; give a file"
    assert refused(f"{tmp_path}/none.py:x") == f"--config: {tmp_path}/none.py does not exist"
    (tmp_path / "quickstart.py").touch()
    assert refused(f"{tmp_path}/quickstrat.py:x") == (
        f"--config: {tmp_path}/quickstrat.py does not exist; did you mean {tmp_path}/quickstart.py?"
    )
    assert refused(f"{tmp_path}/gone/a.py") == f"--config: {tmp_path}/gone/a.py does not exist"


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.py").write_text(
        "from vcjax.config import experiment\ndef get_config(arg=''): return experiment(name=arg)"
    )
    assert command._ConfigFile().parse("~/a.py:b:c").name == "b:c"
    assert command.config_file("~/a.py:b:c") == tmp_path / "a.py"
    assert command.path("out", "~/run") == tmp_path / "run"


def test_an_empty_path_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="--out: no path follows it"):
        command.path("out", " ")
    with pytest.raises(InputError, match=r"--probes: .* is a folder; give a file"):
        command.file("probes", str(tmp_path))


def prints(tmp_path: Path, streams: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command that prints beyond Latin-1 while it writes a file, with these redirections."""
    script = tmp_path / "prints.py"
    script.write_text(
        "import os, sys\n"
        "from vcjax import command\n"
        "def main():\n"
        "    with open(os.environ['DONE'], 'w') as file:\n"
        "        for _ in range(3):\n"
        "            print('\\u5024 \\xe9')\n"
        "            sys.stdout.flush()\n"
        "            print('\\u5024 \\xe9', file=sys.stderr)\n"
        "            os.system('echo native; echo native >&2')\n"
        "        file.write('done')\n"
        "command.run(main, required=[])\n"
    )
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} {script} {streams}"],
        env={**os.environ, **environment, "DONE": str(tmp_path / "done")},
        capture_output=True,
    )


@pytest.mark.parametrize(
    "streams", [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full 2> /dev/full", "> >(exit)"]
)
def test_a_closed_or_full_output_ends_no_run(streams, tmp_path):
    done = prints(tmp_path, streams)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").read_text() == "done"
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        (dict(PYTHONIOENCODING="latin-1"), b"\\u5024 \xe9"),
        (dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"), b"\\u5024 \\xe9"),
        (dict(PYTHONIOENCODING="utf-8"), "\u5024 \xe9".encode()),
    ],
)
def test_what_an_output_cannot_show_is_written_as_its_number(environment, shown, tmp_path):
    done = prints(tmp_path, "", **environment)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout.splitlines()
    assert shown in done.stderr.splitlines()


def test_after_an_interrupt_nothing_half_made_speaks():
    """As an event loop of asyncio that a signal met while it was being made."""
    program = (
        "from vcjax import command\n"
        "class Half:\n"
        "    def __del__(self):\n"
        "        raise AttributeError('_ssock')\n"
        "def main():\n"
        "    half = Half()\n"
        "    raise KeyboardInterrupt\n"
        "command.run(main, [])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 130
    assert ended.stderr == "interrupted; to go on, start it again with the same command\n"
