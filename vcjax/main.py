"""Runs an experiment: python -m vcjax.main --config=configs/NAME.py[:arg] --workdir=DIR

Any leaf of the config from the command line: --config.stages.america.lr=1e-4. Started again, it
goes on where it stopped. --dry_run prints the plan and stops.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from vcjax import command
from vcjax.errors import InputError

CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment, configs/NAME.py[:argument].")
flags.DEFINE_string("workdir", None, "Folder for everything that the run leaves.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Write the rows, print the plan and stop.")
flags.mark_flags_as_required(["config", "workdir"])


def main() -> None:
    from vcjax import experiment  # imports JAX: --help and errors in flags need not wait for it

    name = config_flags.get_config_filename(flags.FLAGS["config"])
    path = Path(name.split(":", 1)[0])  # what follows is the argument of get_config
    if not path.is_file():
        raise InputError(f"--config: {path} does not exist")
    experiment.run(CONFIG.value, path.parent, Path(flags.FLAGS.workdir), DRY_RUN.value)


if __name__ == "__main__":
    command.run(main)
