"""Takes an arm of a run back to `peft` and `transformers`:

    python -m vcjax.export --workdir=DIR --arm=NAME --seed=N --format=peft|merged|base --out=DIR

peft: the adapter alone. merged: base and adapter as one model. base: the model before training (of
a .gguf file the dequantised weights), without --arm and --seed. All come with tokenizer, chat
template, generation config and a model card.
"""

from pathlib import Path

from absl import flags

from vcjax import command
from vcjax.workdir import storage

flags.DEFINE_string("workdir", None, "Folder of a run.")
flags.DEFINE_string("arm", None, "Arm of the run (not for --format=base).")
flags.DEFINE_integer("seed", None, "Seed of the arm (not for --format=base).")
flags.DEFINE_enum("format", None, ["peft", "merged", "base"], "What to write.")
flags.DEFINE_string("out", None, "Folder to write; one that does not exist or is empty.")
flags.mark_flags_as_required(["workdir", "format", "out"])


def main() -> None:
    from vcjax import exported  # imports JAX: --help and errors in flags need not wait for it

    given = flags.FLAGS
    workdir = storage.workdir(given.workdir)
    exported.export(workdir, given.arm, given.seed, given.format, Path(given.out))
    print(f"written: {given.out}")


if __name__ == "__main__":
    command.run(main)
