"""What the commands share: flags in, one call, errors for people."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags
from absl import logging as absl_logging

from vcjax.errors import InputError
from vcjax.workdir import disk, preemption, storage


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls main(). What a user can put right is one line and exit code 2.

    Ctrl-C is one line and 130, a preemption preemption.EXIT_CODE.
    """
    try:
        app.run(lambda argv: _call(main, argv[1:]), flags_parser=_parse)
    except preemption.Preempted as stopped:
        print(stopped)
        sys.exit(preemption.EXIT_CODE)
    except KeyboardInterrupt:
        print("interrupted; to go on, start it again with the same command", file=sys.stderr)
        sys.exit(130)


def config_file(name: str) -> Path:
    """The file of a --config=FILE[:argument]; the argument is that of its get_config."""
    path = Path(name.partition(":")[0])
    if not path.is_file():
        raise InputError(f"--config: {path} does not exist")
    return path


def _parse(argv: list[str]) -> list[str]:
    app.define_help_flags()
    # ml_collections raises many types while it reads a config file and its overrides; whatever it
    # is, the user wrote it. A config's own InputError lies at the bottom of its chain.
    try:
        return flags.FLAGS(argv)
    except Exception as error:
        chain: list[BaseException] = [error]
        while chain[-1].__context__ is not None:
            chain.append(chain[-1].__context__)
        if isinstance(chain[-1], InputError):
            _exit(str(chain[-1]))
        if (
            isinstance(chain[-1], KeyError) and len(chain) > 1
        ):  # says the key alone; the one above names the nearest
            _exit(f"unknown config key {chain[-2].args[0]}")
        _exit(str(error))


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
