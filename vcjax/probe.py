"""Asks a probe file on a finished run: python -m vcjax.probe --workdir=DIR --probes=FILE

Every arm and seed answers it; the rows go to workdir/probes/<hash>/ and the report shows them as
exploratory. --distributed joins the other processes of a pod, which all get the same command.
"""

import contextlib

from absl import flags

from vcjax import command
from vcjax.data.sources import is_data_set
from vcjax.workdir import preemption, storage

flags.DEFINE_string("workdir", None, "Folder of a finished run.")
flags.DEFINE_string(
    "probes", None, "Questions, a file, folder or hub:NAME; or a text to take perplexity on, .txt."
)
GIVEN = {
    "lead": flags.DEFINE_string("lead", "", "Beginning of answers to probes that have no own."),
    "value": flags.DEFINE_string("value", "", "What the rows of a published file measure."),
    "rubric": flags.DEFINE_string("rubric", "", "A file, for the judge of published questions."),
    "spec": flags.DEFINE_string("spec", "", "A file, for {spec} in the rubric."),
}
SPLITS = flags.DEFINE_list("splits", (), "Of a folder or a data set that has several: A,B.")
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of many processes, on a pod.")


def main() -> None:
    preemption.watch()
    workdir = storage.workdir(flags.FLAGS.workdir)
    probes = flags.FLAGS.probes
    if not is_data_set(probes):
        probes = command.place("probes", probes)
    given = {name: flag.value for name, flag in GIVEN.items()}
    for name in ("rubric", "spec"):
        given[name] = given[name] and str(command.file(name, given[name]))
    # These import JAX: --help and errors in flags need not wait for it.
    from vcjax.workdir import processes

    with processes.joined() if DISTRIBUTED.value else contextlib.nullcontext():
        from vcjax import experiment

        experiment.probe_finished(workdir, probes, splits=tuple(SPLITS.value), **given)


if __name__ == "__main__":
    command.run(main, required=["workdir", "probes"])
