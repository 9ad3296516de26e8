"""Asks the models of a run its probes: a file of answers for each arm, seed and kind of probes."""

import time
from collections.abc import Mapping
from typing import Any

from etils import epath

from vcjax.asking import scored, spoken
from vcjax.asking.models import Asker, Model, after, each_once
from vcjax.data.tokenizer import check_words
from vcjax.probes import answer_files, choice, probe_files, texts
from vcjax.probes.probe_files import Probes
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, processes


def check(
    probes: Probes, system: Mapping[str, str], base: Pretrained, config: Mapping[str, Any]
) -> None:
    """Raises InputError where a probe could not be asked; to be called before training.

    system: arm -> its system prompt.
    """
    context_length = base.architecture.context_length
    for name, file in probe_files.of_kind(probes, "text").items():
        check_words(base.tokenizer, file.probes[0], name)
    for read in (None, *dict.fromkeys(system.values())):
        of_arm = after(probes, read)
        choices = probe_files.questions(of_arm, "choice")
        choice.check(choices, base.tokenizer, config["lead"], context_length)
        for kind in spoken.KINDS:
            asked = spoken.asked(of_arm, kind)
            texts.check(asked, base.tokenizer, config["sampling"]["max_tokens"], context_length)


def ask(asker: Asker, probes: Probes, subfolder: str) -> None:
    """Asks every model; writes their answers in this folder of the workdir.

    Those with current answers are skipped. The untouched model is the same for all seeds, so it is
    asked once.
    """
    for kind in dict.fromkeys(file.kind for file in probes.values()):
        _ask(asker, probe_files.of_kind(probes, kind), kind, subfolder)


def _ask(asker: Asker, probes: Probes, kind: str, subfolder: str) -> None:
    folder, models = asker.workdir / subfolder, asker.models()
    hashes = {"probes": probe_files.sha256_of(probes)}
    decided = {m: asker.record.decides(kind, m.arm, m.seed) | hashes for m in models}

    def path(arm: str, seed: int) -> epath.Path:
        return answer_files.path_of(folder, arm, seed, kind, not asker.record.kinds)

    def on_first() -> list[int]:
        return [
            number
            for number, model in enumerate(models)
            if not answer_files.is_current(path(model.arm, model.seed), decided[model])
        ]

    stale = [models[number] for number in processes.on_first(on_first)]
    answers = spoken.answers if kind in spoken.KINDS else scored.answers
    started = time.monotonic()
    for tables in answers(asker, probes, kind, each_once(stale)):
        asked = {model.name: table for model, table in tables.items()}
        own = [model for model in stale if model.name in asked]
        for model in own:
            rows = asked[model.name].assign(arm=model.arm, seed=model.seed)
            to = answer_files.own_path(folder, model.arm, model.seed, kind)
            answer_files.write(to, rows, decided[model])
        seconds = time.monotonic() - started
        files.note_time(asker.workdir, f"{subfolder}, {kind}: {_named(own)}", seconds)
        print(f"{kind}: asked {_named(own)} in {seconds:.0f} s")
        started = time.monotonic()


def _named(models: list[Model]) -> str:
    """As "arms a, b, seed 0"."""
    arms, seeds = (list(dict.fromkeys(column)) for column in list(zip(*models, strict=True))[1:])
    return (
        f"arm{'s' if arms[1:] else ''} {', '.join(arms)}, "
        f"seed{'s' if seeds[1:] else ''} {', '.join(map(str, seeds))}"
    )
