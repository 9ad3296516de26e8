"""Runs an Inspect task on a run's arms: python -m vcjax.evaluate --workdir=DIR --task=PACKAGE/TASK

Its arguments are --arg=NAME=VALUE. The arms are served from here, or by another server (--url) as
ARM-SEED. The same command goes on where it stopped. With --logs=FOLDER logs that others made are
taken instead, --models=MODEL=ARM-SEED for each model. The report shows the scores.
"""

import importlib.util

from absl import flags

from vcjax import command
from vcjax.errors import InputError
from vcjax.workdir import preemption, storage

flags.DEFINE_string("workdir", None, "Folder of a finished run.")
TASK = flags.DEFINE_string("task", None, "Inspect task, PACKAGE/TASK or FILE.py@TASK.")
ARGUMENTS = flags.DEFINE_multi_string("arg", [], "Argument of the task, NAME=VALUE; once for each.")
ARMS = flags.DEFINE_list("arms", None, "Arms to evaluate, A,B; by default all.")
SEEDS = flags.DEFINE_list("seeds", None, "Their seeds, 0,1; by default all.")
LIMIT = flags.DEFINE_integer("limit", None, "Samples of the task, the first ones.", lower_bound=1)
EPOCHS = flags.DEFINE_integer("epochs", None, "Answers to each sample.", lower_bound=1)
TEMPERATURE = flags.DEFINE_float("temperature", None, "Temperature of answers.", lower_bound=0)
MAX_TOKENS = flags.DEFINE_integer("max_tokens", None, "Tokens of an answer.", lower_bound=1)
GRADER = flags.DEFINE_string("grader", None, "Model of Inspect for the role `grader`.")
SLOTS = flags.DEFINE_integer("slots", 8, "Answers at once of each model.", lower_bound=1)
LENGTH = flags.DEFINE_integer(
    "length", None, "Tokens of a prompt and its answer, at most.", lower_bound=2
)
URL = flags.DEFINE_string("url", None, "Server that has the models, http://HOST:PORT/v1.")
LOGS = flags.DEFINE_string("logs", None, "Folder of .eval logs that were made elsewhere.")
MODELS = flags.DEFINE_multi_string("models", [], "MODEL=ARM-SEED of these logs; once for each.")

OF_A_TASK = (ARGUMENTS, ARMS, SEEDS, LIMIT, EPOCHS, TEMPERATURE, MAX_TOKENS, GRADER, LENGTH, URL)


def main() -> None:
    preemption.watch()
    workdir = storage.workdir(flags.FLAGS.workdir)
    if (TASK.value is None) == (LOGS.value is None):
        raise InputError("give either --task or --logs")
    of_the_other = OF_A_TASK if LOGS.value is not None else (MODELS,)
    for flag in of_the_other:
        if flag.value not in (None, []):
            of = "--task" if LOGS.value is not None else "--logs"
            raise InputError(f"--{flag.name}: it is for {of}; leave it out")
    if importlib.util.find_spec("inspect_ai") is None:
        raise InputError(
            "--task and --logs need vcjax's extra `inspect`: in its checkout, "
            'pip install --editable ".[inspect]"'
        )
    # These import JAX and Inspect: --help and errors in flags need not wait for them.
    from vcjax.evaluate import brought, evaluation, tasks
    from vcjax.evaluate.running import Settings

    if TASK.value is None:
        brought.bring_in(workdir, command.path("logs", LOGS.value or ""), MODELS.value)
        return

    found = tasks.find(TASK.value, tasks.parse(ARGUMENTS.value))
    settings = Settings(
        LIMIT.value, EPOCHS.value, TEMPERATURE.value, MAX_TOKENS.value, GRADER.value
    )
    place = evaluation.Place(URL.value, SLOTS.value, LENGTH.value)
    evaluation.evaluate(workdir, ARMS.value, SEEDS.value, found, settings, place)


if __name__ == "__main__":
    command.run(main, required=["workdir"])
