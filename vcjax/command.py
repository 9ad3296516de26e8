"""What the commands share: flags in, one call, errors for people."""

import io
import logging
import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from vcjax.errors import InputError
from vcjax.workdir import disk, preemption, storage

flags.disclaim_key_flags()  # --config belongs to the command that defines it, so --help shows it


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls main(). What a user can put right is one line and exit code 2.

    Ctrl-C is one line and 130, a preemption preemption.EXIT_CODE.
    """
    _let_output_last()
    try:
        app.run(lambda argv: _call(main, argv[1:]), flags_parser=_parse)
    except preemption.Preempted as stopped:
        print(stopped)
        sys.exit(preemption.EXIT_CODE)
    except KeyboardInterrupt:
        print("interrupted; to go on, start it again with the same command", file=sys.stderr)
        sys.exit(130)


def DEFINE_config_file(name: str) -> flags.FlagHolder:
    """Defines --NAME=FILE[:argument], and flags of all leaves of the config that the file makes."""
    holder = config_flags.DEFINE_config_file(name, None, "Experiment, configs/NAME.py[:argument].")
    flags.FLAGS[name].parser = _ConfigFile()
    return holder


def config_file(given: str) -> Path:
    """The file of a --config=FILE[:argument]; the argument is that of its get_config."""
    return file("config", given.partition(":")[0])


def path(flag: str, given: str) -> Path:
    """The value of a flag as a path; ~ is the home folder. Raises InputError where it is empty."""
    if not given.strip():
        raise InputError(f"--{flag}: it is empty; give a path")
    return Path(os.path.expanduser(given))


def file(flag: str, given: str) -> Path:
    """The same, of a file that exists."""
    place = path(flag, given)
    if place.is_dir():
        raise InputError(f"--{flag}: {place} is a folder; give a file")
    if not place.is_file():
        raise InputError(f"--{flag}: {place} does not exist")
    return place


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
        return config.lock()


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


# What absl's parsers of values say -> what they expected.
_OF_A_FLAG = {
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "Non-boolean argument": "true or false",
}


def _parse(argv: list[str]) -> list[str]:
    app.define_help_flags()
    try:
        return flags.FLAGS(argv)
    except InputError as error:
        _exit(str(error))
    except Exception as error:  # ml_collections raises many types while it reads overrides
        chain: list[BaseException] = [error]
        while chain[-1].__context__ is not None:
            chain.append(chain[-1].__context__)
        if isinstance(chain[-1], KeyError) and len(chain) > 1:
            # It says the key alone; the one above names the nearest.
            _exit(f"unknown config key {chain[-2].args[0]}")
        expected = [words for part, words in _OF_A_FLAG.items() if part in str(error)]
        _exit("; expected ".join([str(error), *expected]))


def _call(main: Callable[[], None], no_flags: list[str]) -> None:
    if no_flags:
        _exit(f"{no_flags[0]!r} is no flag; every argument is written --name or --name=value")
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
            line_buffering=stream.line_buffering if stream else False,
        )
        if stream:
            stream.flush()
        setattr(sys, name, lasting)
