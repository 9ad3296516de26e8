"""What models answered in text, prompt by prompt."""

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd

from vcjax.report.transcripts import verdicts
from vcjax.report.transcripts.verdicts import Verdict

Pair = tuple[str, str]  # two arms, as they stand side by side

_PROMPT = ["file", "split", "domain", "id", "order", "kind", "messages", "begun"]
_TRIAL = ["seed", "sample"]
_ABOUT = {"open": "value", "refusal": "request"}  # kind -> the column of `Prompt.value`


class Answer(NamedTuple):
    """is_cut: it had reached the limit of tokens."""

    text: str
    tokens: int
    is_cut: bool
    verdict: Verdict


# By seed and sample, then by arm.
Answers = dict[tuple[int, int], dict[str, Answer]]


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A question with all answers to it. The two orders of a choice are two prompts.

    earlier: the turns before the question. begun: what every answer was made to begin with.
    options: of a choice, each with the value that it stands for or "". value: what is scored, or
    the kind of a request.
    """

    file: str
    kind: str
    id: str
    domain: str
    split: str
    order: int
    earlier: list[dict[str, str]]
    question: str
    begun: str
    options: list[tuple[str, str]]
    value: str
    answers: Answers

    @functools.cached_property
    def key(self) -> str:
        """What no other prompt has."""
        own = [getattr(self, name) for name in _PROMPT if name != "messages"]
        return json.dumps([*own, self.earlier, self.question])

    @property
    def count(self) -> int:
        return sum(map(len, self.answers.values()))

    def verdicts(self, arm: str) -> list[Verdict]:
        return [answers[arm].verdict for answers in self.answers.values() if arm in answers]

    def tally(self, arm: str) -> str:
        return verdicts.tally(self.kind, self.verdicts(arm))

    def differ(self, trial: tuple[int, int], pair: Pair) -> bool | None:
        """Whether the verdicts on two arms' answers differ; None where one of them is missing.

        Undecided is another verdict than an option, unclear another than an answer. No score tells
        nothing, so it does not differ.
        """
        answers = self.answers[trial]
        if not {*pair} <= answers.keys():
            return None
        marks = {answers[arm].verdict.mark for arm in pair}
        return len(marks) == 2 and (self.kind != "open" or None not in marks)

    def differing(self, pair: Pair) -> Answers:
        """The answers at each seed and sample where the verdicts on two arms differ."""
        return {trial: self.answers[trial] for trial in self.answers if self.differ(trial, pair)}


def furthest_first(prompts: Iterable[Prompt], pair: Pair) -> list[Prompt]:
    """Prompts on which two arms differ somewhere, the greatest difference of their means first."""

    def distance(prompt: Prompt) -> float:
        a, b = (verdicts.mean(prompt.kind, prompt.verdicts(arm)) for arm in pair)
        return 0.0 if a is None or b is None else abs(a - b)

    differing = [prompt for prompt in prompts if prompt.differing(pair)]
    return sorted(differing, key=distance, reverse=True)


def read(rows: pd.DataFrame, toward: str) -> list[Prompt]:
    """The prompts of all files in the order in which one reads them, whatever that of the rows.

    rows: as `transcripts.pages` takes them. toward: the value whose badges stand out.
    """
    twice = rows[rows.duplicated([*_PROMPT, *_TRIAL, "arm"])]
    if len(twice):
        where = twice.iloc[0][["file", "id", "order", *_TRIAL, "arm"]].to_dict()
        raise ValueError(f"two answers to the same prompt: {where}")
    records = sorted(rows.to_dict("records"), key=_reading_order)
    groups = groupby(records, key=lambda row: [row[name] for name in _PROMPT])
    return [_prompt(list(of_prompt), toward) for _, of_prompt in groups]


def _reading_order(row: dict[str, Any]) -> tuple:
    file, domain, name = ((_natural(row[key]), row[key]) for key in ("file", "domain", "id"))
    others = [row[key] for key in ("order", *_PROMPT, *_TRIAL, "arm")]
    return (file, row["split"] != "held_out", domain, name, *others)


def _natural(text: str) -> list[str | int]:
    """In whose order d2 is before d10."""
    parts = re.split(r"([0-9]{1,18})", text)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _prompt(rows: Sequence[dict[str, Any]], toward: str) -> Prompt:
    first, kind = rows[0], rows[0]["kind"]
    *earlier, question = json.loads(first["messages"])
    options = [
        (first[f"option_{i}"], verdicts.text(first[f"value_{i}"]))
        for i in range(2)
        if kind == "said"
    ]
    answers: Answers = {}
    for row in rows:
        trial = answers.setdefault((int(row["seed"]), int(row["sample"])), {})
        text, is_cut = row["begun"] + row["answer"], row["finish"] == "length"
        trial[row["arm"]] = Answer(text, len(row["tokens"]), is_cut, verdicts.of_row(row, toward))
    return Prompt(
        **{name: first[name] for name in ("file", "kind", "id", "domain", "split", "begun")},
        order=int(first["order"]),
        earlier=earlier,
        question=question["content"],
        options=options,
        value="" if kind == "said" else verdicts.text(first[_ABOUT[kind]]),
        answers=answers,
    )
