"""Runs an experiment: python -m vcjax.main --config=configs/NAME.py[:arg] --workdir=DIR

Any key of the config that holds a value can be set: --config.stages.america.lr=1e-4. Started again,
it goes on where it stopped. --dry_run prints the plan and stops; --show=3 prints three packed rows
of each stage as well. --distributed joins the other processes of a pod, which all get the same
command.
"""

import contextlib

from absl import flags
from ml_collections import config_flags

from vcjax import command
from vcjax.errors import InputError
from vcjax.workdir import preemption, storage

CONFIG = command.DEFINE_config_file()
flags.DEFINE_string("workdir", None, "Folder or gs://BUCKET/FOLDER of all it leaves.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Write the rows, print the plan and stop.")
SHOW = flags.DEFINE_integer(
    "show", 0, "With --dry_run: how many packed rows of each stage to print.", lower_bound=0
)
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of many processes, on a pod.")


def main() -> None:
    if SHOW.value and not DRY_RUN.value:
        raise InputError("--show: rows are shown by a dry run; give --dry_run too")
    preemption.watch()
    # This imports JAX: --help and errors in flags need not wait for it.
    from vcjax.workdir import processes

    with processes.joined() if DISTRIBUTED.value else contextlib.nullcontext():
        _run()


def _run() -> None:
    from vcjax import experiment

    name = config_flags.get_config_filename(flags.FLAGS["config"])
    folder = command.config_file(name).parent
    workdir = storage.workdir(flags.FLAGS.workdir)
    flags_given = _flags_of_config(name)
    experiment.run(CONFIG.value, folder, workdir, DRY_RUN.value, flags_given, SHOW.value)


def _flags_of_config(name: str) -> list[str]:
    """The config's flags as they were given; of an absolute path the file's name, for it says
    nothing on another machine. name: "configs/NAME.py:argument"."""
    path, (_, colon, argument) = command.config_file(name), name.partition(":")
    shown = path.name if path.is_absolute() else path
    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    return [f"--config={shown}{colon}{argument}"] + [
        f"--config.{key}={value}" for key, value in overrides.items()
    ]


if __name__ == "__main__":
    command.run(main, required=["config", "workdir"])
