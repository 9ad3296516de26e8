"""Conversations to token ids through the model's chat template, with exact assistant masks.

Two things are easy to get wrong here. Text inside a message never becomes a control token: a
control token's text that occurs in a message is altered by a private-use character before the
template runs, so that all control-token texts in the result are the template's own; afterwards the
text between them is encoded as plain text, the alteration undone. And what is trained on is found
by rendering prefixes of the conversation, never by searching for a string: the assistant's turn is
what the template adds after the prompt that the model will see when it answers.

The text is also cut where an assistant's turn starts, so that the prompt's tokens are the same in
training and when the model is asked.
"""

import functools
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vcjax.data.tokenizer import Tokenizer, encode_text
from vcjax.errors import InputError

PRIVATE_USE = range(0xF0000, 0xFFFFE)  # code points that no text has a meaning for


def encode_conversation(
    tokenizer: Tokenizer, messages: Sequence[dict], where: str
) -> tuple[list[int], list[float]]:
    """Ids of the conversation, and the weight of each as a prediction target.

    The weight is 1 for the assistant's text and the token that ends its turn, 0 for all else. where
    names the conversation in an InputError: where the template raises, drops a message's reasoning,
    or renders a turn otherwise than its prompt (so that there is no exact mask).
    """
    mark = _unused_character(messages)
    marked = _mark_control_texts(tokenizer, messages, mark)
    text = _render(tokenizer, marked, where)
    spans = _assistant_spans(tokenizer, marked, text, where)
    ids, weights = [], []
    for start, piece in _cut(tokenizer, text, [begin for begin, _ in spans]):
        piece_ids = _encode_piece(tokenizer, piece, mark)
        ids += piece_ids
        weights += [float(any(begin <= start < end for begin, end in spans))] * len(piece_ids)
    return ids, weights


def encode_prompt(tokenizer: Tokenizer, messages: Sequence[dict], where: str) -> list[int]:
    """Ids of the conversation so far and of the opening of the assistant's next turn.

    encode_conversation of the same messages and an answer begins with them. Errors as there.
    """
    mark = _unused_character(messages)
    marked = _mark_control_texts(tokenizer, messages, mark)
    text = _render(tokenizer, marked, where, add_generation_prompt=True)
    spans = _assistant_spans(tokenizer, marked, text, where)
    pieces = _cut(tokenizer, text, [begin for begin, _ in spans])
    return [id_ for _, piece in pieces for id_ in _encode_piece(tokenizer, piece, mark)]


def _unused_character(messages: Sequence[dict]) -> str:
    text = "".join(value for message in messages for value in message.values())
    return next(chr(code) for code in PRIVATE_USE if chr(code) not in text)


def _mark_control_texts(
    tokenizer: Tokenizer, messages: Sequence[dict], mark: str
) -> list[dict[str, str]]:
    """The messages as templates expect them, `mark` breaking every control token's text.

    It goes behind the first character of each occurrence. Occurrences may overlap, hence the
    lookahead.
    """
    control = re.compile(f"(?={_control_pattern(tokenizer).pattern})(.)", re.DOTALL)

    def marked(message: dict, field: str) -> str:
        return control.sub(rf"\1{mark}", message[field])

    return [
        {"role": message["role"], "content": marked(message, "content")}
        | ({"reasoning_content": marked(message, "reasoning")} if "reasoning" in message else {})
        for message in messages
    ]


def _assistant_spans(
    tokenizer: Tokenizer, messages: list[dict[str, str]], text: str, where: str
) -> list[tuple[int, int]]:
    """Where in the rendered text each assistant turn begins and ends, its end token included."""
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = _render(tokenizer, messages[:index], where, add_generation_prompt=True)
        turn = _render(tokenizer, messages[: index + 1], where)
        if not (turn.startswith(prompt) and text.startswith(turn)):
            _fail(where, index, "is rendered otherwise than its prompt or when more follows")
        without = {field: message[field] for field in ("role", "content")}
        if without != message and turn == _render(tokenizer, [*messages[:index], without], where):
            _fail(where, index, "has reasoning, which this model's chat template leaves out")
        ends = [match.end() for match in _control_pattern(tokenizer).finditer(turn, len(prompt))]
        if not ends or turn[ends[-1] :].strip():
            _fail(where, index, "is ended by no control token of the model")
        spans.append((len(prompt), ends[-1]))
    return spans


def _cut(tokenizer: Tokenizer, text: str, starts: list[int]) -> list[tuple[int, str]]:
    """The text as (offset, piece): control tokens alone, the text between them cut at `starts`."""
    ends = [edge for match in _control_pattern(tokenizer).finditer(text) for edge in match.span()]
    edges = sorted({0, *starts, *ends, len(text)})
    return [(start, text[start:end]) for start, end in pairwise(edges)]


def _encode_piece(tokenizer: Tokenizer, piece: str, mark: str) -> list[int]:
    if piece in tokenizer.control:
        return [tokenizer.control[piece]]
    return encode_text(tokenizer, piece.replace(mark, ""))


def _control_pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Matches a control token's text, of two that begin alike the longer one."""
    longest_first = sorted(tokenizer.control, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _render(
    tokenizer: Tokenizer,
    messages: list[dict[str, str]],
    where: str,
    add_generation_prompt: bool = False,
) -> str:
    if not tokenizer.chat_template:
        raise InputError(f"{where}: the model has no chat template; use one that has, or documents")
    names: dict[int | None, str] = {id_: name for name, id_ in tokenizer.control.items()}
    try:
        return _compile(tokenizer.chat_template).render(
            messages=messages,
            add_generation_prompt=add_generation_prompt,
            bos_token=names.get(tokenizer.bos_id, ""),
            eos_token=names.get(tokenizer.eos_id, ""),
        )
    except Exception as error:  # the template is a program of the model's: it may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where}: the model's chat template refuses it: {reason}") from error


@functools.lru_cache(maxsize=8)
def _compile(template: str) -> jinja2.Template:
    """The template in the environment that Hugging Face renders chat templates in.

    Except for the clock: `strftime_now` is not defined, since the same conversation must give the
    same ids tomorrow; templates that ask for it fall back on a fixed date.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(template)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Jinja's own filter would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _fail(where: str, index: int, problem: str) -> NoReturn:
    raise InputError(f"{where}: messages[{index}] {problem}; use another chat template or model")
