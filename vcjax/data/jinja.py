"""Renders chat templates: Jinja programs, run in a sandbox as Hugging Face runs them.

The environment is that of `transformers` (its `utils/chat_template_utils.py`), with the tag
`{% generation %}` ... `{% endgeneration %}` around the assistant's text. One function differs:
`strftime_now` says that it is DATE, since the same conversation must give the same ids tomorrow.
"""

import datetime
import functools
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

Span = tuple[int, int]  # where in a text something begins and ends

# What templates take for today: the date that Llama 3 falls back on where there is no clock.
DATE = datetime.date(2024, 7, 26)

OPENING, CLOSING = "generation_opening", "generation_closing"  # variables that the tag writes


def render(
    template: str, borders: Sequence[str], variables: dict[str, Any]
) -> tuple[str, list[Span]]:
    """The text, and the spans of it that are written inside `{% generation %}`.

    borders: two characters that occur nowhere in the variables. A template may raise any exception.
    """
    opening, closing = borders
    marked = _compile(template).render({**variables, OPENING: opening, CLOSING: closing})
    text, begin = "", 0
    spans = []
    for piece in re.split(f"([{opening}{closing}])", marked):
        if piece == opening:
            begin = len(text)
        elif piece == closing:
            spans.append((begin, len(text)))
        else:
            text += piece
    return text, spans


@functools.lru_cache(maxsize=8)
def has_generation_tag(template: str) -> bool:
    return OPENING in variables_of(template)


def variables_of(template: str) -> set[str]:
    """The names that the template reads and does not set itself."""
    return jinja2.meta.find_undeclared_variables(_environment().parse(template))


def literals_of(template: str) -> list[str]:
    """The literal texts that the template may write, those in its expressions too."""
    tree = _environment().parse(template)
    texts = [node.data for node in tree.find_all(nodes.TemplateData)]
    return texts + [n.value for n in tree.find_all(nodes.Const) if isinstance(n.value, str)]


class _GenerationTag(jinja2.ext.Extension):
    """Writes a border character before and after the text inside the tag.

    `transformers` counts the characters rendered so far instead, which goes wrong inside macros.
    """

    tags = {"generation"}  # noqa: RUF012, jinja2 declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        opening, closing = (nodes.Output([nodes.Name(n, "load")]) for n in (OPENING, CLOSING))
        return nodes.Scope([opening, *body, closing]).set_lineno(line)


@functools.lru_cache(maxsize=8)
def _compile(template: str) -> jinja2.Template:
    return _environment().from_string(template)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = DATE.strftime
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Jinja's own filter would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
