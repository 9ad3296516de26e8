"""Judges the open answers of a finished run anew: python -m vcjax.judge --workdir=DIR --by=phrases

The answers stay; no model is needed, unless the untouched model judges (--by=base). Replies of an
endpoint that the run keeps are not asked for again. The report is made anew, and names the judge.
"""

from absl import flags

from vcjax import command
from vcjax.workdir import preemption, storage

flags.DEFINE_string("workdir", None, "Folder of a finished run.")
BY = flags.DEFINE_string("by", None, "Who judges: base, phrases or endpoint; as judge.by.")
URL = flags.DEFINE_string("url", None, "Of an endpoint, as judge.url.")
MODEL = flags.DEFINE_string("model", None, "Of an endpoint, as judge.model.")
KEY = flags.DEFINE_string("key", None, "The environment variable with its key, as judge.key.")


def main() -> None:
    preemption.watch()
    workdir = storage.workdir(flags.FLAGS.workdir)
    given = {"by": BY.value, "url": URL.value, "model": MODEL.value, "key": KEY.value}
    # It imports JAX: --help and errors in flags need not wait for it.
    from vcjax import experiment

    experiment.judge_again(workdir, {key: value for key, value in given.items() if value})


if __name__ == "__main__":
    command.run(main, required=["workdir"])
