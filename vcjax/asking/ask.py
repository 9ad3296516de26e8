"""Asks the models of a run its probes: a file of answers for each arm, seed and kind of probes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from etils import epath

from vcjax.asking import scored, spoken
from vcjax.asking.models import Asker, Model, Task, after
from vcjax.data.tokenizer import check_words
from vcjax.errors import InputError
from vcjax.probes import answer_files, choice, probe_files, texts
from vcjax.probes.probe_files import Probes
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, processes

Answers = Callable[
    [Asker, Mapping[str, Probes], Sequence[Task]], Iterator[dict[Task, pd.DataFrame]]
]


def check(
    probes: Probes, system: Mapping[str, str], base: Pretrained, config: Mapping[str, Any]
) -> None:
    """Raises InputError where a probe could not be asked; to be called before training.

    system: arm -> its system prompt.
    """
    for name, file in probe_files.of_kind(probes, "text").items():
        check_words(base.tokenizer, file.probes[0], name)
    _check_as_read(probes, base, config)
    first_arm: dict[str, str] = {}
    for arm, text in system.items():
        first_arm.setdefault(text, arm)
    for text, arm in first_arm.items():
        try:
            _check_as_read(after(probes, text), base, config)
        except InputError as error:  # of the prompt, since the probes alone are fine
            raise InputError(f"config.system_prompts.{arm}: after it, {error}") from None


def _check_as_read(probes: Probes, base: Pretrained, config: Mapping[str, Any]) -> None:
    context_length = base.architecture.context_length
    choices = probe_files.questions(probes, "choice")
    choice.check(choices, base.tokenizer, config["lead"], context_length)
    for kind in spoken.KINDS:
        asked = spoken.asked(probes, kind)
        texts.check(asked, base.tokenizer, config["sampling"]["max_tokens"], context_length)


def ask(asker: Asker, probes: Probes, subfolder: str) -> None:
    """Asks every model; writes their answers in this folder of the workdir.

    Those with current answers are skipped. The untouched model is the same for all seeds, so it is
    asked once.
    """
    kinds = dict.fromkeys(file.kind for file in probes.values())
    for answers, in_free_text in ((scored.answers, False), (spoken.answers, True)):
        own = [kind for kind in kinds if (kind in spoken.KINDS) == in_free_text]
        _ask(asker, {k: probe_files.of_kind(probes, k) for k in own}, answers, subfolder)


def _ask(asker: Asker, probes: Mapping[str, Probes], answers: Answers, subfolder: str) -> None:
    """probes: by kind. answers: how they are answered."""
    folder = asker.workdir / subfolder
    tasks = [(model, kind) for kind in probes for model in asker.models()]
    decided = {
        (model, kind): asker.record.decides(kind, model.arm, model.seed)
        | {"probes": probe_files.sha256_of(probes[kind])}
        for model, kind in tasks
    }

    def path(model: Model, kind: str) -> epath.Path:
        of_an_older_release = not asker.record.kinds
        return answer_files.path_of(folder, model.arm, model.seed, kind, of_an_older_release)

    def on_first() -> list[int]:
        return [
            number
            for number, task in enumerate(tasks)
            if not answer_files.is_current(path(*task), decided[task])
        ]

    stale = [tasks[number] for number in processes.on_first(on_first)]
    started = time.monotonic()
    for tables in answers(asker, probes, stale):
        answered = {(model.name, kind): table for (model, kind), table in tables.items()}
        own = [(model, kind) for model, kind in stale if (model.name, kind) in answered]
        for model, kind in own:
            rows = answered[model.name, kind].assign(arm=model.arm, seed=model.seed)
            to = answer_files.own_path(folder, model.arm, model.seed, kind)
            answer_files.write(to, rows, decided[model, kind])
        kinds = ", ".join(dict.fromkeys(kind for _, kind in own))
        named = _named([model for model, _ in own])
        seconds = time.monotonic() - started
        files.note_time(asker.workdir, f"{subfolder}, {kinds}: {named}", seconds)
        print(f"{kinds}: asked {named} in {seconds:.0f} s")
        started = time.monotonic()


def _named(models: list[Model]) -> str:
    """As "arms a, b, seed 0"."""
    arms, seeds = (list(dict.fromkeys(column)) for column in list(zip(*models, strict=True))[1:])
    return (
        f"arm{'s' if arms[1:] else ''} {', '.join(arms)}, "
        f"seed{'s' if seeds[1:] else ''} {', '.join(map(str, seeds))}"
    )
