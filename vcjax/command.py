"""What the commands share: flags in, one call, errors for people."""

import ast
import io
import itertools
import logging
import os
import re
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags
from ml_collections.config_flags import config_path

from vcjax.errors import InputError, missing
from vcjax.schema.check import unknown_key
from vcjax.workdir import disk, preemption, storage

flags.disclaim_key_flags()  # --config belongs to the command that defines it, so --help shows it


def run(main: Callable[[], None], required: Sequence[str]) -> None:
    """Parses the flags and calls main(). What a user can put right is one line and exit code 2.

    required: flags that must be given. Ctrl-C is one line and 130, a preemption
    preemption.EXIT_CODE.
    """
    _let_output_last()
    try:
        app.run(lambda argv: _call(main), flags_parser=lambda argv: _parse(argv, required))
    except preemption.Preempted as stopped:
        print(stopped)
        sys.exit(preemption.EXIT_CODE)
    except KeyboardInterrupt:
        # What it left half made, as an event loop, may raise once more on its way out.
        sys.unraisablehook = lambda unraisable: None
        print("interrupted; to go on, start it again with the same command", file=sys.stderr)
        sys.exit(130)


def DEFINE_config_file() -> flags.FlagHolder:
    """Defines --config=FILE[:argument], and flags of all leaves of the config that it makes."""
    holder = config_flags.DEFINE_config_file(
        "config", None, "Experiment, configs/NAME.py[:argument]."
    )
    flags.FLAGS["config"].parser = _ConfigFile()
    return holder


def config_file(given: str) -> Path:
    """The file of a --config=FILE[:argument]; the argument is that of its get_config."""
    return file("config", given.partition(":")[0])


def path(flag: str, given: str) -> Path:
    """The value of a flag as a path; ~ is the home folder. InputError where there is none."""
    if not given.strip() or given.startswith("--"):  # nothing, or the next flag
        raise InputError(f"--{flag}: no path follows it; give one")
    return Path(os.path.expanduser(given))


def place(flag: str, given: str) -> Path:
    """The same, of a file or folder that exists."""
    found = path(flag, given)
    if not found.exists():
        raise InputError(f"--{flag}: {missing(found)}")
    return found


def file(flag: str, given: str) -> Path:
    """The same, of a file that exists."""
    found = place(flag, given)
    if found.is_dir():
        raise InputError(f"--{flag}: {found} is a folder; give a file")
    return found


class _ConfigFile(flags.ArgumentParser):
    """Calls a config file's get_config; whatever it does wrong is an InputError that says where."""

    def parse(self, given: str) -> ConfigDict:
        path, argument = config_file(given), given.split(":", 1)[1:]
        try:
            get_config = runpy.run_path(str(path)).get("get_config")
            config = get_config(*argument) if get_config else None
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"--config: {_blamed(path, error)}") from error
        if get_config is None:
            raise InputError(f"--config: {path} has no function get_config(arg)")
        if not isinstance(config, ConfigDict):
            raise InputError(
                f"--config: get_config of {path} returned {config!r:.60}; expected what "
                "vcjax.config.experiment(...) makes"
            )
        _check_overrides(config)
        return config.lock()


def _check_overrides(config: ConfigDict) -> None:
    """Raises InputError for a --config.KEY of the command line that the config does not have, and
    for one whose value holds keys. ml_collections would say neither where nor what to do."""
    arguments = flags.FLAGS.read_flags_from_files(sys.argv[1:], force_gnu=False)
    for argument, following in itertools.pairwise([*arguments, ""]):
        flag, equals, value = argument.partition("=")
        override = re.fullmatch(r"--?(?:no)?config\.(.+)", flag)
        try:
            keys = config_path.split(override[1]) if override else ()
        except ValueError:
            raise InputError(f"{flag}: a flag cannot set it; write it in the config file") from None
        holder: Any = config
        for number, key in enumerate(keys):
            above = ".".join(["--config", *map(str, keys[:number])])
            if not isinstance(holder, ConfigDict):
                raise InputError(f"{flag}: {above} holds a value and no keys; set that")
            if not isinstance(key, str) or key not in holder:
                raise InputError(unknown_key(f"{above}.", str(key), holder))
            holder = holder[key]
        given = value if equals else following
        if keys and isinstance(holder, ConfigDict) and not _is_dict(given):
            raise InputError(f"{flag}{equals}{value}: it holds keys; {_example(flag, holder)}")


def _is_dict(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), dict)
    except (ValueError, SyntaxError):
        return False


def _example(flag: str, holder: ConfigDict) -> str:
    """How to set a key of the holder."""
    if not holder:
        return "it has none yet, write them in the config file"
    names, value = ", ".join(holder), holder
    while isinstance(value, ConfigDict) and value:
        key = next(iter(value))
        flag, value = f"{flag}.{key}", value[key]
    return f"set one of them ({names}), for example {flag}={'VALUE' if value is None else value}"


def _blamed(path: Path, error: BaseException) -> str:
    """The error with the last line of the file that led to it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    lines = [
        number
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    where = f"{path}, line {lines[-1]}" if lines else path
    return f"{where}: {type(error).__name__}: {error}"


# How absl's parsers of values begin what they say -> what they expected.
_EXPECTED = {
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "('Non-boolean argument": "true or false",
}


def _parse(argv: list[str], required: Sequence[str]) -> list[str]:
    app.define_help_flags()
    try:
        no_flags = flags.FLAGS(argv)[1:]
        if no_flags:
            raise InputError(
                f"{no_flags[0]!r} is no flag; every argument is written --name or --name=value, "
                f"as in: {_usage()}"
            )
        lacking = [f"--{name}" for name in required if flags.FLAGS[name].value is None]
        if lacking:
            raise InputError(f"give {' and '.join(lacking)}, as in: {_usage()}")
        return argv
    except InputError as error:
        _exit(str(error))
    except Exception as error:  # ml_collections raises many types while it reads overrides
        said = str(error).removeprefix("flag ")
        for part, expected in _EXPECTED.items():
            flag, is_part, _ = said.partition(f": {part}")
            if is_part:
                _exit(f"{flag}: expected {expected}")
        _exit(said)


def _usage() -> str:
    """The command line that the command's docstring shows."""
    usage = re.search(r"python -m .*", sys.modules["__main__"].__doc__ or "")
    return usage[0] if usage else f"{sys.argv[0]} --help"


def _call(main: Callable[[], None]) -> None:
    absl_logging.set_verbosity(absl_logging.FATAL)  # Orbax logs the errors that it raises, too
    logging.getLogger("jax").setLevel(logging.ERROR)
    sys.unraisablehook = _show_unraisable
    warnings.filterwarnings("ignore", module="tensorflow_datasets")
    _keep_compiled_programs()
    try:
        main()
    except InputError as error:
        _exit(str(error))
    except Exception as error:
        refusal = disk.explain(error)
        if refusal is None:
            raise
        _exit(refusal)


def _show_unraisable(unraisable: Any) -> None:
    """As Python does, but for what the threads of TensorStore meet when a save has failed."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _exit(message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _keep_compiled_programs() -> None:
    """A cache of compiled programs that all runs share; JAX_COMPILATION_CACHE_DIR moves it."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(storage.cache("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class _Lasting(io.FileIO):
    """Drops what cannot be written: the reader of a pipe is gone, or the disk of a log is full."""

    def write(self, data) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _let_output_last() -> None:
    """Output that is closed, or cannot show a character, does not end a run."""
    # Else a file that is opened later takes the number of a closed stream, and all that goes there.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        raw = _Lasting(os.devnull, "w") if stream is None else _Lasting(number, "w", closefd=False)
        lasting = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding if stream else "utf-8",
            errors="backslashreplace",
            line_buffering=True,  # a log shows what a run does now
        )
        if stream:
            stream.flush()
        setattr(sys, name, lasting)
