"""Conversations to token ids through the model's chat template, with exact assistant masks.

The assistant's text is located by rendering prefixes of the conversation, or by the template's own
`{% generation %}`, never by searching for a string: a turn is what the template appends to the
prompt that the model sees when it answers. The text is split where a turn starts and each part is
tokenised alone, so that a prompt has the same tokens in training and in sampling. It is not split
where a `{% generation %}` tag begins or ends: a token that is partly inside the tag is trained on,
as in `transformers`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from vcjax.data import jinja
from vcjax.data.jinja import Span
from vcjax.data.marking import control_pattern, encode_marked, mark_controls, unused_characters
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError

Encoded = tuple[list[int], list[float]]  # ids, the weight of each as a prediction target
Render = Callable[..., tuple[str, list[Span]]]  # messages -> text, spans inside {% generation %}


@dataclass(frozen=True)
class _Turn:
    """A turn of the assistant, message number `index` of the conversation.

    prompt: the text that the model sees when it answers. answer: the text that the turn appends to
    it. end: the position in prompt + answer behind the token that ends the turn.
    """

    index: int
    prompt: str
    answer: str
    end: int


def encode_conversation(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool = False,
    tools: Sequence[dict] = (),
) -> list[Encoded]:
    """Training examples: ids, and the weight of each as a prediction target.

    The weight is 1 for the assistant's text and the token that ends its turn, 0 for all else. Most
    templates only append to what they rendered before: then there is one example. Some change a
    turn once more follows (Qwen3 drops earlier reasoning): then there is one example for each turn
    of the assistant, the conversation as the model sees it when it answers, with only that turn
    trained on. Where the template has `{% generation %}`, there is one example, and the text inside
    the tags is trained on.

    Args:
        where: the conversation's place, for errors.
        thinking: whether the template gets the messages' `reasoning`, and `enable_thinking` as
            true; else both are left out.
        tools: JSON schemas for the template.

    Raises:
        InputError: if the template raises, leaves out a part of a turn, or renders a turn so that
            it does not begin with its prompt (then no mask would be exact).
    """
    messages, render, mark = _prepare(tokenizer, messages, where, thinking, tools)
    turns = _turns(tokenizer, messages, render, where)
    text, tagged = render(messages)
    changed = [turn for turn in turns if not text.startswith(turn.prompt + turn.answer)]
    encode = partial(_encode, tokenizer, mark, turns)
    if jinja.has_generation_tag(tokenizer.chat_template):
        _check_tagged(turns, changed, tagged, where)
        return [encode(text, tagged)]
    if changed:
        return [encode(turn.prompt + turn.answer, [_span(turn)]) for turn in turns]
    return [encode(text, [_span(turn) for turn in turns])]


def encode_prompt(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool = False,
    tools: Sequence[dict] = (),
    begun: str = "",
) -> list[int]:
    """Ids of a prompt: the conversation, the opening of the assistant's next turn, and `begun`.

    begun: the beginning of the answer. For the same messages and an answer, encode_conversation
    returns an example that begins with the ids before `begun`. Arguments and errors as there.
    """
    (end,) = unused_characters([*messages, *tools, begun], 1)
    answer = {"role": "assistant", "content": begun + end}
    given, render, mark = _prepare(tokenizer, [*messages, answer], where, thinking, tools)
    turns = _turns(tokenizer, given[:-1], render, where)
    text, _ = render(given[:-1], add_generation_prompt=True)
    if begun:
        prompt = text
        text, has_end, _ = render(given)[0].partition(end)
        if not (has_end and text.startswith(prompt)):
            _fail(where, len(messages), "is rendered otherwise than its prompt")
        turns.append(_Turn(len(messages), prompt, answer=text[len(prompt) :], end=len(text)))
    return _encode(tokenizer, mark, turns, text, [])[0]


def _prepare(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool,
    tools: Sequence[dict],
) -> tuple[list[dict], Render, str]:
    """(messages as templates expect them, function that renders them, mark in their texts).

    The mark is a character that breaks the texts of control tokens in the messages (marking.py).
    """
    if not tokenizer.chat_template:
        raise InputError(f"{where}: the model has no chat template; use one that has, or documents")
    mark, *borders = unused_characters([*messages, *tools], 3)
    given = mark_controls(tokenizer, [_for_template(m, thinking) for m in messages], mark)
    render = partial(
        _render,
        tokenizer,
        where,
        borders,
        enable_thinking=thinking,
        tools=mark_controls(tokenizer, list(tools), mark) or None,
    )
    if tools and render(given) == render(given, tools=None):
        raise InputError(
            f"{where}: it has tools, which this model's chat template leaves out; use another chat "
            "template or model"
        )
    return given, render, mark


def _for_template(message: dict, thinking: bool) -> dict:
    """The message with its reasoning under the name that templates read, or without it."""
    given = {field: value for field, value in message.items() if field != "reasoning"}
    if thinking and "reasoning" in message:
        given["reasoning_content"] = message["reasoning"]
    return given


def _render(
    tokenizer: Tokenizer,
    where: str,
    borders: list[str],
    messages: list[dict],
    add_generation_prompt: bool = False,
    **variables: Any,
) -> tuple[str, list[Span]]:
    """The rendered text, and the spans of it that are inside `{% generation %}`."""
    variables |= {
        "messages": messages,
        "documents": None,  # `transformers` defines it, so templates may test it
        "add_generation_prompt": add_generation_prompt,
        **tokenizer.template_tokens,
    }
    try:
        return jinja.render(tokenizer.chat_template, borders, variables)
    except Exception as error:  # the template is a program of the model's: it may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where}: the model's chat template refuses it: {reason}") from error


def _turns(tokenizer: Tokenizer, messages: list[dict], render: Render, where: str) -> list[_Turn]:
    return [
        _turn(tokenizer, messages[: index + 1], render, where)
        for index, message in enumerate(messages)
        if message["role"] == "assistant"
    ]


def _turn(tokenizer: Tokenizer, messages: list[dict], render: Render, where: str) -> _Turn:
    """The last message as a turn."""
    index = len(messages) - 1
    prompt, _ = render(messages[:-1], add_generation_prompt=True)
    text, _ = render(messages)
    before = prompt
    if not text.startswith(prompt) and index > 1 and text == render(messages[1:])[0]:
        # Mistral's templates write the system prompt into the user's message only if that is the
        # last message: the prompt has it, the conversation with the answer has not.
        before, _ = render(messages[1:-1], add_generation_prompt=True)
    if not text.startswith(before):
        _fail(where, index, "is rendered otherwise than its prompt")
    _check_written(messages, text, render, where)
    answer = text[len(before) :]
    ends = [match.end() for match in control_pattern(tokenizer).finditer(answer)]
    if not ends or answer[ends[-1] :].strip():
        _fail(where, index, "is ended by no control token of the model")
    return _Turn(index, prompt, answer, len(prompt) + ends[-1])


def _span(turn: _Turn) -> Span:
    return len(turn.prompt), turn.end


def _encode(
    tokenizer: Tokenizer, mark: str, turns: list[_Turn], text: str, trained: list[Span]
) -> Encoded:
    """Ids of the text, and weights: 1 where a token overlaps a span of `trained`, else 0."""
    starts = [len(t.prompt) for t in turns if text.startswith(t.prompt + t.answer)]
    tokens = encode_marked(tokenizer, text, starts, mark)
    weights = [float(any(a < end and begin < b for a, b in trained)) for _, begin, end in tokens]
    return [id_ for id_, _, _ in tokens], weights


def _check_written(messages: list[dict], text: str, render: Render, where: str) -> None:
    """Raises InputError if the template left a field of the last message out of `text`."""
    *history, last = messages
    for field in ("content", "reasoning_content", "tool_calls"):
        if not last.get(field):
            continue
        try:
            without, _ = render([*history, {f: v for f, v in last.items() if f != field}])
        except InputError:  # the template cannot do without it
            continue
        if without == text:
            name = field.removesuffix("_content")
            _fail(where, len(history), f"has {name}, which this model's chat template leaves out")


def _check_tagged(turns: list[_Turn], changed: list[_Turn], tagged: list[Span], where: str) -> None:
    """Raises InputError if the text inside `{% generation %}` cannot be trained on.

    The turns in it have to be what the model sees when it answers, and the last token of a turn has
    to be among it.
    """
    for turn in changed:
        _fail(
            where, turn.index, "is rendered otherwise when more follows, and has {% generation %}"
        )
    if not any(begin < turn.end <= end for turn in turns for begin, end in tagged):
        raise InputError(
            f"{where}: the chat template's {{% generation %}} leaves out the token that ends the "
            "assistant's turn, so that the model would never stop; write the tag around it"
        )


def _fail(where: str, index: int, problem: str) -> NoReturn:
    raise InputError(f"{where}: messages[{index}] {problem}; use another chat template or model")
