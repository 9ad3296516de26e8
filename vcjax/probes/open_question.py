"""Probes of kind `open`: a question answered in free text, scored by a judge from 1 to 10."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from vcjax.data.fields import Fields, Text, checked
from vcjax.probes.question import Question, QuestionFields, asked, conversation
from vcjax.probes.texts import Asked


def _rubric(rubric: str) -> str:
    if "{answer}" not in rubric:
        raise ValueError("has no place for the answer; expected {answer} where it is put")
    return rubric


class Phrases(Fields):
    """What an answer may hold, for the judge `phrases`: for the value, and against it."""

    toward: list[Text]
    against: list[Text]


class _Record(QuestionFields):
    kind: Literal["open"]
    question: Text
    rubric: Annotated[Text, AfterValidator(_rubric)]
    value: Text
    phrases: Phrases | None = None


@dataclass(frozen=True)
class OpenProbe(Question):
    """A question with a rubric.

    rubric: what a judge reads, with {question} and {answer} in it. value: what a high score stands
    for. toward, against: phrases for the judge `phrases`.
    """

    question: str
    rubric: str
    value: str
    toward: tuple[str, ...]
    against: tuple[str, ...]

    contrast: ClassVar = "open"
    options: ClassVar[tuple[str, ...]] = ()

    @property
    def questions(self) -> tuple[str, ...]:
        return (self.question,)


def parse(record: dict[str, Any], where: str) -> OpenProbe:
    """The probe in a record."""
    fields = checked(_Record, record, where)
    phrases = fields.phrases or Phrases(toward=[], against=[])
    return OpenProbe(
        question=fields.question,
        rubric=fields.rubric,
        value=fields.value,
        toward=tuple(phrases.toward),
        against=tuple(phrases.against),
        **asked(fields, where),
    )


def asks(probe: OpenProbe) -> Iterator[Asked]:
    """How it is asked, once, and what its rows of answers say of it."""
    row = {
        **probe.row,
        "value": probe.value,
        "rubric": probe.rubric,
        "phrases_for": list(probe.toward),
        "phrases_against": list(probe.against),
        "order": 0,
    }
    yield Asked(conversation(probe, probe.question), probe.lead or "", probe.where, row)
