"""Compiles a config's train steps for a TPU slice that is not here, and says what they will take.

    python -m vcjax.aot --config=configs/study_cheese_llama31_8b.py --topology=v5e:4x4 [--slices=2]

Needs no accelerator, no weights and no data. Keys of the config from the command line, as for
vcjax.main. --search ranks mesh shapes, rows and remat policies; --out saves all figures as JSON.
"""

import os
from pathlib import Path

from vcjax.topology.chips import COMPILER_ENVIRONMENT

os.environ.update(COMPILER_ENVIRONMENT)

from absl import flags
from ml_collections import config_flags

from vcjax import command

CONFIG = command.DEFINE_config_file()
flags.DEFINE_string("topology", None, "Chip and sides of a slice, as v5e:4x4.")
SLICES = flags.DEFINE_integer("slices", 1, "Slices of that shape.")
STAGE = flags.DEFINE_string("stage", None, "Only this stage; else each that differs in its sizes.")
SEARCH = flags.DEFINE_bool("search", False, "Rank mesh shapes, rows a chip and remat policies.")
COMPILES = flags.DEFINE_integer("compiles", 12, "How many steps a search may compile.", 1)
OUT = flags.DEFINE_string("out", None, "Write all figures to this JSON file.")
EXECUTABLES = flags.DEFINE_string("save_executables", None, "Folder for the compiled steps.")
TEXTS = flags.DEFINE_string("save_hlo", None, "Folder for the optimized HLO that is counted.")


def main() -> None:
    from vcjax.topology import ahead_of_time  # imports JAX

    name = config_flags.get_config_filename(flags.FLAGS["config"])
    ahead_of_time.run(
        CONFIG.value,
        command.config_file(name).parent,
        topology_name=flags.FLAGS.topology,
        slices=SLICES.value,
        stage=STAGE.value,
        compiles=COMPILES.value if SEARCH.value else 0,
        out=_path(OUT),
        texts=_path(TEXTS),
        executables=_path(EXECUTABLES),
    )


def _path(flag: flags.FlagHolder[str | None]) -> Path | None:
    return None if flag.value is None else command.path(flag.name, flag.value)


if __name__ == "__main__":
    command.run(main, required=["config", "topology"])
