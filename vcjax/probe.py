"""Scores a probe file on a finished run: python -m vcjax.probe --workdir=DIR --probes=FILE

Every arm and seed answers it; the rows go to workdir/probes/<hash>/ and the report shows them as
exploratory.
"""

from absl import flags

from vcjax import command
from vcjax.workdir import storage

flags.DEFINE_string("workdir", None, "Folder of a finished run.")
flags.DEFINE_string("probes", None, "Probe file, .jsonl, or a text to take perplexity on, .txt.")
flags.mark_flags_as_required(["workdir", "probes"])


def main() -> None:
    workdir = storage.workdir(flags.FLAGS.workdir)
    probes = command.file("probes", flags.FLAGS.probes)
    from vcjax import experiment  # imports JAX: --help and errors in flags need not wait for it

    experiment.probe_finished(workdir, probes)


if __name__ == "__main__":
    command.run(main)
