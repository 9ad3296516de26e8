"""Writes one report of several finished runs, or that of one run anew:

    python -m vcjax.report --workdir=DIR --workdir=DIR [...] --out=DIR [--x=KEY]

Effects are drawn against the one number in which the configs differ, or against --x: a key of the
config, as shape.num_layers, or parameters, the number of weights. With one --workdir it rebuilds
the report in that folder.
"""

from absl import flags
from etils import epath

from vcjax import command
from vcjax.errors import InputError
from vcjax.workdir import storage

flags.DEFINE_multi_string("workdir", None, "Folder of a finished run; once for each run.")
OUT = flags.DEFINE_string("out", None, "Folder to write, where there are several runs.")
X = flags.DEFINE_string("x", None, "Key of the config to draw effects against, or parameters.")


def main() -> None:
    workdirs = [storage.workdir(value) for value in flags.FLAGS.workdir]
    if len(workdirs) == 1:
        _rebuild(workdirs[0])
        return
    if OUT.value is None:
        raise InputError("--out: missing; give a folder for the report of these runs")
    out = command.path("out", OUT.value)
    from vcjax.report import runs_page  # imports JAX and matplotlib, which takes seconds

    for line in runs_page.write_report(workdirs, out, X.value):
        print(line)
    print(f"report: {out / 'index.html'}")


def _rebuild(workdir: epath.Path) -> None:
    """Writes the report in a run's own folder again."""
    for flag in (OUT, X):
        if flag.value is not None:
            raise InputError(
                f"--{flag.name}: it is for several runs; leave it out, or give --workdir again"
            )
    # These import JAX: --help and errors in flags need not wait for it.
    from vcjax import record
    from vcjax.report.page import write_report
    from vcjax.workdir import lock

    record.read(workdir)  # or else the lock would make a folder
    with lock.hold(workdir):
        for line in write_report(workdir):
            print(line)
        print(f"report: {workdir / 'report' / 'index.html'}")


if __name__ == "__main__":
    command.run(main, required=["workdir"])
