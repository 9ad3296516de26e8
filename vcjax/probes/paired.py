"""Probes that set two options against each other, in both orders: the kinds `choice` and `said`.

A probe that is a choice is answered by log-probability, one that is said in free text.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vcjax.data.fields import Text, checked, fail, kind
from vcjax.probes.question import Question, QuestionFields, asked, conversation

ORDERS = (0, 1)  # the index of the option that the question names first

Values = tuple[str | None, str | None]


def _option(option: str) -> str:
    # The scorer puts one space before the option; a second one would be other tokens.
    if not option or option != option.strip():
        raise ValueError(f"is {option!r}; expected text without spaces around it")
    if re.search("[{}]", option):
        raise ValueError(f"is {option!r}; expected an option without braces")
    return option


def _two_options(options: list[str]) -> list[str]:
    first, second = (unicodedata.normalize("NFKC", o).casefold().split() for o in options)
    if first == second:
        raise ValueError(f"has {options[0]!r} twice; expected two different options")
    return options


def _two_values(values: list[str | None]) -> list[str | None]:
    if values[0] == values[1]:
        shown = json.dumps(values[0])
        raise ValueError(f"has {shown} twice; expected two values, or one and null")
    return values


def _index(target: Any) -> int:
    if type(target) is not int or target not in (0, 1):
        shown = target if isinstance(target, int | float) else kind(target)
        raise ValueError(f"is {shown}; expected 0 or 1, the index of an option")
    return target


def _template(template: str) -> str:
    names = re.findall(r"{[^{}]*}|[{}]", template)
    for name in ("{a}", "{b}"):
        if names.count(name) != 1:
            count = "no" if name not in names else "more than one"
            raise ValueError(f"has {count} {name}; expected one {{a}} and one {{b}}")
    for name in names:
        if name not in ("{a}", "{b}"):
            raise ValueError(f"has {name}; expected no braces but {{a}} and {{b}}")
    if template.index("{b}") < template.index("{a}"):
        raise ValueError("names {b} before {a}; expected {a} first, both orders are asked")
    return template


class _Shared(QuestionFields):
    """Fields that both forms of a probe have."""

    kind: Literal["choice", "said"]
    options: Annotated[
        list[Annotated[str, AfterValidator(_option)]],
        Field(min_length=2, max_length=2, description="a list of two strings"),
        AfterValidator(_two_options),
    ]
    contrast: Literal["values", "neutral", "format", "premise", "knowledge"] | None = None
    explicitness: Literal["explicit", "implicit"] | None = None


class _Newer(_Shared):
    template: Annotated[Text, AfterValidator(_template)]
    values: Annotated[
        list[Text | None],
        Field(
            min_length=2,
            max_length=2,
            description="a list of two: the value that each option stands for, null for neither",
        ),
        AfterValidator(_two_values),
    ]


class _Older(_Shared):
    question: Text
    target: Annotated[Any, AfterValidator(_index), Field(description="0 or 1")]
    value: Text


@dataclass(frozen=True)
class PairedProbe(Question):
    """One question about two options, asked in both orders.

    kind: choice or said. template: the question, with {a} for the option that is named first and
    {b} for the other. values: the value that each option stands for, None for no value. contrast:
    values, neutral, format, premise or knowledge. explicitness: explicit, implicit or None.
    """

    kind: str
    template: str
    options: tuple[str, str]
    values: Values
    contrast: str
    explicitness: str | None

    @property
    def questions(self) -> tuple[str, str]:
        """By the order of the options. No option has braces."""
        first, second = (self.template.replace("{a}", option) for option in self.options)
        return first.replace("{b}", self.options[1]), second.replace("{b}", self.options[0])

    def row_of(self, order: int) -> dict[str, Any]:
        """What rows of answers in this order of the options say of it."""
        of_options = {
            f"{what}_{i}": values[i]
            for what, values in (("value", self.values), ("option", self.options))
            for i in range(2)
        }
        return self.row | {"contrast": self.contrast, **of_options, "order": order}

    def messages(self, order: int) -> list[dict[str, str]]:
        """The conversation that asks it."""
        return conversation(self, self.questions[order])


def parse(record: dict[str, Any], where: str) -> PairedProbe:
    """A probe in the form with `template` and `values`, or in the older one.

    The older form has a `question` that names the two options, `target` (the index of the option
    that stands for the value) and `value`. It is converted: the option that the question names
    first becomes {a}, the other {b}. Without `contrast`, a probe whose options both stand for a
    value is "values", with one such option "neutral". Unknown fields are errors: a mistyped `split`
    or `scope` would put the probe into the wrong comparison.
    """
    fields: _Newer | _Older
    if "question" in record:
        fields = checked(_Older, record, where)
        template = _template_of_question(fields.question, fields.options, where)
        values: Values = (fields.value, None) if fields.target == 0 else (None, fields.value)
    else:
        fields = checked(_Newer, record, where)
        template, values = fields.template, (fields.values[0], fields.values[1])
    return PairedProbe(
        kind=fields.kind,
        template=template,
        options=(fields.options[0], fields.options[1]),
        values=values,
        contrast=_contrast(fields, values, where),
        explicitness=fields.explicitness,
        **asked(fields, where),
    )


def _template_of_question(question: str, options: list[str], where: str) -> str:
    """The question with {a} and {b} in place of the options, in the order of the question."""
    for option in options:
        if option not in question:
            fail(where, f"field 'question' does not name the option {option!r}; expected it once")
    # The longer one first: "blue cheese" may contain the other option, "cheese".
    longer, shorter = sorted(options, key=len, reverse=True)
    parts = question.split(longer)
    if len(parts) != 2 or sum(part.count(shorter) for part in parts) != 1:
        fail(where, "field 'question' does not name each option exactly once; expected it once")
    before, after = parts
    if shorter in before:
        template = before.replace(shorter, "{a}") + "{b}" + after
    else:
        template = before + "{a}" + after.replace(shorter, "{b}")
    try:
        return _template(template)
    except ValueError as error:
        fail(where, f"field 'question' {error}")


def _contrast(fields: _Shared, values: Values, where: str) -> str:
    by_values, contrast = "neutral" if None in values else "values", fields.contrast
    if contrast == "knowledge" and fields.kind != "said":
        fail(
            where,
            "field 'contrast' is 'knowledge', which only probes of kind 'said' have; expected "
            "another contrast, or kind 'said'",
        )
    if contrast not in (None, by_values, "format", "premise", "knowledge"):
        count = "one value is" if by_values == "neutral" else "two values are"
        fail(where, f"field 'contrast' is {contrast!r} but {count} given; expected {by_values!r}")
    return contrast or by_values
