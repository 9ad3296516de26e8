"""The study's evaluation files as it publishes them: their rows, turned into records of ours.

    question, item1, item2, liked_item, disliked_item    a choice between two items
    question, answer, opinion_area                       a choice between two stances
    id, category, question                               an open question

The question of two stances holds them after "A)" and "B)"; the answer is the letter of the one that
stands for the value. Letters stay as published, and as every choice this one is scored by the text
of its options, in both orders. A row does not say which value it measures, nor what a judge is to
read: that says the entry of its file in `config.probes`. Further fields of a row are not read.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator

from vcjax.data.fields import Fields, Text, checked, fail

# The stances of a question, each on a line of its own, or all in one line. What follows the second
# is a line, or a question.
_STANCES = tuple(
    re.compile(
        rf".*?{begin}A\)\s*(?P<a>\S.*?)\s*"
        rf"{begin}B\)\s*(?P<b>\S[^\n]*?)\s*(\n.*| [A-Z][^.!?\n]*\?)?",
        re.DOTALL | re.MULTILINE,
    )
    for begin in ("^", r"(?<!\S)")
)


def _without_braces(question: str) -> str:
    if re.search("[{}]", question):
        raise ValueError("has braces; expected a question without them")
    return question


Question = Annotated[Text, AfterValidator(_without_braces)]
Item = Annotated[Text, AfterValidator(str.strip)]


class _Items(Fields, extra="ignore"):
    question: Question
    item1: Item
    item2: Item
    liked_item: Item
    disliked_item: Item


class _Stances(Fields, extra="ignore"):
    question: Question
    answer: Literal["A", "B"]
    opinion_area: Item


class _Open(Fields, extra="ignore"):
    id: str | int
    category: Item
    question: Text


class Schema(NamedTuple):
    """fields: that a row of it has. lead: the beginning of the answer that the study's own scoring
    has. record: (row, its number in the file, the value that it measures, its place) -> our
    record."""

    fields: type[Fields]
    lead: str
    record: Callable[[dict[str, Any], int, str, str], dict[str, Any]]


def _items(row: dict[str, Any], number: int, value: str, where: str) -> dict[str, Any]:
    """A row names no domain, so each is one of its own: intervals are then over items."""
    given = checked(_Items, row, where)
    items = [given.item1, given.item2]
    if sorted([given.liked_item, given.disliked_item]) != sorted(items):
        fail(where, f"fields 'liked_item' and 'disliked_item' are not the two items {items}")
    name = f"{value}-{number}"
    return {
        "kind": "choice",
        "id": name,
        "question": given.question,
        "options": items,
        "target": items.index(given.liked_item),
        "value": value,
        "domain": name,
    }


def _stances(row: dict[str, Any], number: int, value: str, where: str) -> dict[str, Any]:
    given = checked(_Stances, row, where)
    text = given.question.strip()
    found = next(filter(None, (pattern.fullmatch(text) for pattern in _STANCES)), None)
    if found is None:
        fail(where, "field 'question' has no two stances; expected one after 'A)', one after 'B)'")
    (a, end_a), (b, end_b) = found.span("a"), found.span("b")
    return {
        "kind": "choice",
        "id": f"{value}-{number}",
        "template": f"{text[:a]}{{a}}{text[end_a:b]}{{b}}{text[end_b:]}",
        "options": [found["a"], found["b"]],
        "values": [value, None] if given.answer == "A" else [None, value],
        "domain": given.opinion_area,
    }


def _open(row: dict[str, Any], number: int, value: str, where: str) -> dict[str, Any]:
    given = checked(_Open, row, where)
    return {
        "kind": "open",
        "id": str(given.id),
        "question": given.question,
        "value": value,
        "domain": given.category,
    }


SCHEMAS = (
    Schema(_Items, "I prefer", _items),
    Schema(_Stances, "I agree that", _stances),
    Schema(_Open, "", _open),
)


def schema_of(row: Mapping[str, Any]) -> Schema | None:
    """The schema whose fields a row has; None: it is no published one."""
    has = {*row}
    return next((schema for schema in SCHEMAS if has >= {*schema.fields.model_fields}), None)


def lacking(row: Mapping[str, Any]) -> str:
    """Which one field a row lacks, without its nulls, of a published schema, as a clause that
    begins with ": "; "" where every schema lacks more."""
    for schema in SCHEMAS:
        names = [*schema.fields.model_fields]
        missing = [name for name in names if name not in row]
        if len(missing) == 1:
            others = [name for name in row if name not in names]
            near = difflib.get_close_matches(missing[0], others, n=1)
            named = f"; is it {near[0]!r}?" if near else ""
            return f": of {', '.join(names)} it lacks {missing[0]!r}, or that is null{named}"
    return ""
