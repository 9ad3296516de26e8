"""Runs an Inspect task on a run's arms: python -m vcjax.evaluate --workdir=DIR --task=PACKAGE/TASK

Its arguments are --arg=NAME=VALUE. With --evaluation=NAME it is the one of that name in the run's
config, with its settings. The arms are served from here, or by another server (--url) as ARM-SEED.
The same command goes on where it stopped. With --logs=FOLDER logs that others made are taken
instead, --models=MODEL=ARM-SEED for each model. The report shows the scores.
"""

import importlib.util

from absl import flags

from vcjax import command
from vcjax.errors import InputError
from vcjax.workdir import preemption, storage

flags.DEFINE_string("workdir", None, "Folder of a finished run.")
TASK = flags.DEFINE_string("task", None, "Inspect task, PACKAGE/TASK or FILE.py@TASK.")
EVALUATION = flags.DEFINE_string("evaluation", None, "A name of `evaluations` in the run's config.")
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

ANSWERS = (EPOCHS, TEMPERATURE, MAX_TOKENS)  # how they are given, which a config says too
# What is asked, and the flags that are not for it.
NOT_FOR = (
    (TASK, (MODELS,)),
    (EVALUATION, (ARGUMENTS, *ANSWERS, MODELS)),
    (LOGS, (ARGUMENTS, *ANSWERS, ARMS, SEEDS, LIMIT, GRADER, LENGTH, URL)),
)


def main() -> None:
    preemption.watch()
    workdir = storage.workdir(flags.FLAGS.workdir)
    given = [(asked, not_for) for asked, not_for in NOT_FOR if asked.value is not None]
    if len(given) != 1:
        raise InputError("give one of --task, --evaluation and --logs")
    [(asked, not_for)] = given
    for flag in not_for:
        if flag.value not in (None, []):
            raise InputError(f"--{flag.name}: it is not for --{asked.name}; leave it out")
    if importlib.util.find_spec("inspect_ai") is None:
        raise InputError(
            f"--{asked.name} needs vcjax's extra `inspect`: in its checkout, "
            'pip install --editable ".[inspect]"'
        )
    # These import JAX and Inspect: --help and errors in flags need not wait for them.
    from vcjax.evaluate import brought, evaluation, tasks
    from vcjax.evaluate.running import Settings

    if LOGS.value is not None:
        brought.bring_in(workdir, command.path("logs", LOGS.value), MODELS.value)
        return

    if EVALUATION.value is not None:
        named = evaluation.named(workdir, EVALUATION.value)
        found = tasks.of_config(EVALUATION.value, named)
        of_task = {flag.name: named[flag.name] for flag in ANSWERS}
    else:
        found = tasks.find(TASK.value or "", tasks.parse(ARGUMENTS.value))
        of_task = {flag.name: flag.value for flag in ANSWERS}
    settings = Settings(limit=LIMIT.value, grader=GRADER.value, **of_task)
    place = evaluation.Place(URL.value, SLOTS.value, LENGTH.value)
    evaluation.evaluate(workdir, ARMS.value, SEEDS.value, found, settings, place)


if __name__ == "__main__":
    command.run(main, required=["workdir"])
