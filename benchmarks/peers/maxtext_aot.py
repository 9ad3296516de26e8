"""MaxText's own train step, compiled for a TPU slice on a CPU-only machine.

    python benchmarks/peers/maxtext_aot.py OUT.hlo.txt compile_topology=v5e-16 [MaxText flags]

Needs the extra `peers` (Python 3.12), in an environment of its own. The compiler's options are
vcjax's. Writes the optimized HLO; the last line is the memory of a chip, as JSON.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from vcjax.topology.chips import COMPILER_ENVIRONMENT

os.environ.update(COMPILER_ENVIRONMENT)

import maxtext
from maxtext.trainers.pre_train import train_compile

from vcjax.training.compiled_step import TPU_OPTIONS

FLAGS = (
    "compile_topology_num_slices=1",
    "run_name=aot",
    "enable_checkpointing=False",
    "dataset_type=synthetic",
    "log_config=False",
    "skip_jax_distributed_system=True",
    "compile_xla_flags=" + " ".join(f"--{name}={value}" for name, value in TPU_OPTIONS.items()),
)


def main() -> None:
    out, flags = Path(sys.argv[1]), sys.argv[2:]
    compile_step, compiled = train_compile.jit_and_compile, []

    def remember(*args, **kwargs):
        compiled.append(compile_step(*args, **kwargs))
        return compiled[-1]

    train_compile.jit_and_compile = remember
    base = Path(maxtext.__file__).parent / "configs" / "base.yml"
    folder = f"base_output_directory={tempfile.mkdtemp()}"
    train_compile.main(["train_compile", str(base), *FLAGS, folder, *flags])
    out.write_text(compiled[0].as_text())
    memory = compiled[0].memory_analysis()
    sizes = (memory.argument_size_in_bytes, memory.temp_size_in_bytes)
    print(json.dumps(dict(zip(("arguments", "temporaries"), sizes, strict=True))))


if __name__ == "__main__":
    main()
