"""What probes of every kind that asks have: fields of their records, and the conversation."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from vcjax.data.fields import Fields, Text


def _lead(lead: str) -> str:
    if lead != lead.strip():
        raise ValueError(f"is {lead!r}; expected text without spaces around it")
    return lead


def _turns(turns: list["Turn"]) -> list["Turn"]:
    roles = [turn.role for turn in turns]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError(
            f"has {', '.join(roles)}; expected turns of user and assistant by turns, the "
            "assistant's last"
        )
    return turns


class Turn(Fields):
    """A turn of the conversation before the question."""

    role: Literal["user", "assistant"]
    content: Text


class QuestionFields(Fields):
    """Fields that every kind has."""

    id: Text
    domain: Text
    scope: Literal["out_of_domain", "in_domain"] = "out_of_domain"
    split: Literal["held_out", "development"] = "held_out"
    lead: Annotated[Text, AfterValidator(_lead)] | None = None
    system: Text | None = None
    turns: Annotated[list[Turn], AfterValidator(_turns), Field(default_factory=list)]


@dataclass(frozen=True)
class Question:
    """A probe that asks.

    scope: in_domain or out_of_domain. split: development or held_out. where: its place in a file.
    lead: the beginning of the answer, None for the config's. system: the system prompt, None for
    the template's own. turns: (role, content) of what was said before the question.
    """

    id: str
    domain: str
    scope: str
    split: str
    where: str
    lead: str | None = dataclasses.field(default=None, kw_only=True)
    system: str | None = dataclasses.field(default=None, kw_only=True)
    turns: tuple[tuple[str, str], ...] = dataclasses.field(default=(), kw_only=True)

    @property
    def row(self) -> dict[str, Any]:
        """What every row of answers says of it."""
        names = ("id", "domain", "scope", "split")
        return {name: getattr(self, name) for name in names}


P = TypeVar("P", bound=Question)


def with_system(probe: P, system: str | None) -> P:
    """The probe after this system prompt; its own follows it."""
    if system is None:
        return probe
    both = system if probe.system is None else f"{system}\n\n{probe.system}"
    return dataclasses.replace(probe, system=both)


def asked(fields: QuestionFields, where: str) -> dict[str, Any]:
    """The fields of `QuestionFields` as the dataclasses of probes have them."""
    names = ("id", "domain", "scope", "split", "lead", "system")
    turns = tuple((turn.role, turn.content) for turn in fields.turns)
    return {name: getattr(fields, name) for name in names} | {"turns": turns, "where": where}


def conversation(probe: Question, question: str) -> list[dict[str, str]]:
    """The messages that ask it: system prompt, earlier turns, the question."""
    system = [] if probe.system is None else [("system", probe.system)]
    turns = [*system, *probe.turns, ("user", question)]
    return [{"role": role, "content": content} for role, content in turns]
