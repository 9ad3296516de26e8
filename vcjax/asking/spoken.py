"""Probes that are answered in free text: several arms over one base are asked at once."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import pandas as pd

from vcjax.asking.models import Asker, Model, Task, after, each_once
from vcjax.generation.sampler import Answer
from vcjax.probes import open_question, refusal, said, texts
from vcjax.probes.probe_files import Probes
from vcjax.probes.texts import Asked, Sampling
from vcjax.training.progress import Progress
from vcjax.training.samplers import samplers
from vcjax.workdir import preemption

# Kind -> how its probes are asked.
KINDS: dict[str, Callable[[Any], Iterator[Asked]]] = {
    "said": said.asks,
    "open": open_question.asks,
    "refusal": refusal.asks,
}
TOGETHER = 4  # models at once; each adapter and its slots take memory


def asked(probes: Probes, kind: str) -> list[Asked]:
    """How the probes of this kind are asked; rows of answers name their file."""
    return [
        one._replace(row=one.row | {"file": name, "file_sha256": file.sha256})
        for name, file in probes.items()
        if file.kind == kind
        for probe in file.probes
        for one in KINDS[kind](probe)
    ]


def answers(
    asker: Asker, probes: Mapping[str, Probes], stale: Sequence[Task]
) -> Iterator[dict[Task, pd.DataFrame]]:
    """What `texts.ask` returns of these models, and of those that are asked with them.

    Which those are does not depend on which are stale, so that a run that was stopped gives the
    same texts: in bfloat16 what stands in other slots may decide the last bit of a sum. probes: by
    kind.
    """
    for kind, of_kind in probes.items():
        names = {model.name for model, asked_kind in stale if asked_kind == kind}
        for group in _groups(asker):
            if names & {model.name for model in group}:
                preemption.stop_if_noticed()
                questions = asked(after(of_kind, asker.system(group[0])), kind)
                tables = _speak(asker, group, questions, f"{kind}, seed {group[0].seed}")
                yield {(model, kind): table for model, table in tables.items()}


def _groups(asker: Asker) -> list[list[Model]]:
    """The models that are asked together: of one base, seed and system prompt, at most TOGETHER, as
    many in each group of a seed."""

    def alike(model: Model) -> tuple[str, int, str]:
        return asker.base(model), model.seed, asker.system(model) or ""

    groups = []
    for _, same in itertools.groupby(sorted(each_once(asker.models()), key=alike), key=alike):
        models = [*same]
        size = math.ceil(len(models) / math.ceil(len(models) / TOGETHER))
        groups += [models[first : first + size] for first in range(0, len(models), size)]
    return groups


def _speak(
    asker: Asker, group: list[Model], asked: list[Asked], title: str
) -> dict[Model, pd.DataFrame]:
    sampling = Sampling(**asker.record.config["sampling"])
    loaded = asker.load(asker.base(group[0]))
    tokenizer, architecture = loaded.pretrained.tokenizer, loaded.pretrained.architecture
    length = texts.check(asked, tokenizer, sampling.max_tokens, architecture.context_length)
    models = {(model.arm, model.seed): model for model in group}
    speakers = samplers(loaded, asker.workdir, asker.record.plan, models, sampling.slots, length)
    tokens, began = 0, time.monotonic()
    progress = Progress(title, len(asked) * sampling.samples * len(group), 0, "answer")

    def on_answer(answer: Answer) -> None:
        nonlocal tokens
        tokens += len(answer.said)
        preemption.stop_if_noticed()
        progress.update({"tokens_per_second": tokens / (time.monotonic() - began)})

    answers: dict[Model, pd.DataFrame] = {}
    with contextlib.closing(progress), jax.set_mesh(loaded.mesh):
        for sampler in {id(s.sampler): s.sampler for s in speakers.values()}.values():
            of_arm = {s.arm: models[key] for key, s in speakers.items() if s.sampler is sampler}
            tables = texts.ask(sampler, [*of_arm], tokenizer, asked, sampling, on_answer)
            answers |= {of_arm[arm]: table for arm, table in tables.items()}
    return answers
