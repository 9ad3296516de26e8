"""The assistant's turns in the text of a chat template: where each begins and ends.

A turn is what the template appends to the prompt that the model sees when it answers, up to the
token that ends it. Whatever a message says has to stand in a turn or in a prompt.
"""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from vcjax.data import jinja
from vcjax.data.conversations import REASONING
from vcjax.data.jinja import Span
from vcjax.data.marking import PRIVATE_USE, control_pattern, stands_in
from vcjax.data.rendering import Conversation
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError

OPENED = re.compile(r"<think>\s*\Z")
CLOSING = "\n</think>\n\n"  # as Qwen3 and DeepSeek-R1 write it


@dataclass(frozen=True)
class Turn:
    """A turn of the assistant, message number `index` of the conversation.

    prompt: the text that the model sees when it answers. answer: the text that the turn appends to
    it, with the token that ends it. rest: what the template writes behind that.
    """

    index: int
    prompt: str
    answer: str
    rest: str = ""

    @property
    def text(self) -> str:
        return self.prompt + self.answer

    @property
    def span(self) -> Span:
        """The answer's place in the text."""
        return len(self.prompt), len(self.text)


@dataclass(frozen=True)
class End:
    """How a template ends a turn of the assistant.

    token: the control token that ends it, "" where that is not known. tail: what is written behind
    the turn, to its end, only where more follows or is asked for; "" where it always is.
    """

    token: str = ""
    tail: str = ""


def find_turns(tokenizer: Tokenizer, conversation: Conversation, before: int) -> list[Turn]:
    """The assistant's turns among the messages with a number below `before`.

    Raises InputError if the template leaves out a part of one, renders it so that it does not begin
    with its prompt, or does not end it.
    """
    return [
        _turn(tokenizer, conversation, index)
        for index, message in enumerate(conversation.messages[:before])
        if message["role"] == "assistant"
    ]


def answered(conversation: Conversation, messages: Sequence[dict]) -> tuple[str, str]:
    """The prompt of the last message, the assistant's, and what the message appends to it.

    Raises InputError if the message's text does not begin with the prompt.
    """
    *history, last = messages
    prompt, text = conversation.prompt(history), conversation.text(messages)
    if text.startswith(prompt):
        return prompt, text[len(prompt) :]
    opened = OPENED.search(prompt)
    if opened and text.startswith(prompt[: opened.start()]):
        # The prompt opens the thinking, which the template then leaves out of the turn (R1, QwQ).
        written = text[opened.start() :]
        if not written.lstrip().startswith("<think>"):
            closing = "" if written.startswith("</think>") else CLOSING
            return prompt, last.get("reasoning_content", "").strip() + closing + written
    if len(history) > 1 and history[0]["role"] == "system":
        # Mistral's templates write the system prompt into the user's message only if that is the
        # last message: the prompt has it, the conversation with the answer has not.
        before = conversation.prompt(history[1:])
        if text.startswith(before) and text == conversation.text(messages[1:]):
            return prompt, text[len(before) :]
    same = len(os.path.commonprefix([prompt, text]))
    ours, theirs = (repr(one[same : same + 40]) for one in (text, prompt))
    problem = f"is rendered otherwise than its prompt: {ours} stands where that has {theirs}"
    fail(conversation, len(history), problem)


def check_said(conversation: Conversation, before: int, prompts: Sequence[int]) -> None:
    """Raises InputError if a message stands in none of the prompts.

    The messages are those with a number below `before` that are not the assistant's. prompts: how
    many messages each answers. One need not hold them all: Mistral's have no system prompt where
    the result of a tool is answered.
    """
    messages = list(conversation.messages)
    missing: dict[int, tuple[str, str]] = {}
    for index, message in enumerate(messages[:before]):
        if message["role"] != "assistant" and message["content"].strip():
            messages[index], missing[index] = _with_edges(conversation, index)
    for count in sorted(prompts, reverse=True):
        if not missing:
            return
        prompt = conversation.prompt(messages[:count])
        missing = {i: edges for i, edges in missing.items() if not _stand_in(edges, prompt)}
    for index in missing:
        problem = "is in the prompt of no answer, or not whole, for the chat template leaves it out"
        fail(conversation, index, problem)


def fail(conversation: Conversation, index: int, problem: str) -> NoReturn:
    role = conversation.messages[index]["role"]
    of = "" if role == "assistant" else f" ({role})"
    raise InputError(
        f"{conversation.where}: messages[{index}]{of} {problem}; use another chat template or model"
    )


@functools.lru_cache(maxsize=8)
def end_of_turn(tokenizer: Tokenizer, template: str) -> End:
    """What stands behind an answer's text, whether or not the user goes on.

    What comes only behind the last turn ends none, as <|endoftext|> behind the <|end|> of Phi-3.5,
    unless there is nothing else (gpt-oss ends the last turn by <|return|>, all others by <|end|>).
    Qwen1.5 ends a turn only where more follows.
    """
    said, answer, more, *borders = map(chr, PRIVATE_USE[:5])
    talk = [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]

    def behind(messages: list[dict], asked: bool = False) -> str:
        variables = {"messages": messages, "tools": [], "add_generation_prompt": asked}
        text, _ = jinja.render(template, borders, variables | tokenizer.template_tokens)
        return text.partition(answer)[2]

    try:
        last, asked = behind(talk), behind(talk, asked=True)
        inside = behind([*talk, {"role": "user", "content": more}]).partition(more)[0]
    except Exception:  # a template may refuse this conversation, and not others
        return End()
    eos = tokenizer.template_tokens.get("eos_token", "")
    for text in (os.path.commonprefix([last, inside]), last):
        if tokens := control_pattern(tokenizer).findall(text):
            is_whole = text.strip() == last.strip()
            return End(eos if eos in tokens else tokens[-1 if is_whole else 0])
    shared = os.path.commonprefix([asked, inside])
    if eos and eos in shared:
        return End(eos, shared[: shared.index(eos) + len(eos)])
    return End()


def _turn(tokenizer: Tokenizer, conversation: Conversation, index: int) -> Turn:
    prompt, appended = answered(conversation, conversation.messages[: index + 1])
    answer = _to_its_end(tokenizer, conversation.template, appended)
    if answer is None:
        fail(conversation, index, "is ended by no control token of the model")
    turn = Turn(index, prompt, answer, rest=appended[len(answer) :])
    _check_written(tokenizer, conversation, turn)
    return turn


def _to_its_end(tokenizer: Tokenizer, template: str, appended: str) -> str | None:
    """What a turn appends, up to the token that ends it; None if nothing ends it."""
    end = end_of_turn(tokenizer, template)
    ends = list(control_pattern(tokenizer).finditer(appended))
    for match in ends:
        if match[0] == end.token:
            return appended[: match.end()]
    if ends and not appended[ends[-1].end() :].strip():  # a call of gpt-oss ends by <|call|>
        return appended[: ends[-1].end()]
    return appended + end.tail if end.tail else None


def _check_written(tokenizer: Tokenizer, conversation: Conversation, turn: Turn) -> None:
    """Raises InputError if the template left a field of the message out of its turn."""
    message = conversation.messages[turn.index]
    history = conversation.messages[: turn.index]
    if message["content"].strip():
        marked, edges = _with_edges(conversation, turn.index)
        _, appended = answered(conversation, [*history, marked])
        answer = _to_its_end(tokenizer, conversation.template, appended)
        if answer is None or not _stand_in(edges, answer):
            _fail_left_out(conversation, turn, "content")
    for name, fields in (("reasoning", REASONING), ("tool_calls", ("tool_calls",))):
        if not message.get(name):
            continue
        without = {field: value for field, value in message.items() if field not in fields}
        try:
            text = "".join(answered(conversation, [*history, without]))
        except InputError:  # the template cannot do without it
            continue
        if text.startswith(turn.text):
            _fail_left_out(conversation, turn, name)


def _fail_left_out(conversation: Conversation, turn: Turn, field: str) -> NoReturn:
    problem = f"has {field}, which this model's chat template leaves out"
    if field == "content":
        problem += " or cuts"
    if turn.rest.strip():
        problem += ", or writes behind the end of the turn"
    fail(conversation, turn.index, problem)


def _with_edges(conversation: Conversation, index: int) -> tuple[dict, tuple[str, str]]:
    """The message with a character before and behind its content, and these characters."""
    message, (first, last) = conversation.messages[index], conversation.spare[index]
    return message | {"content": first + message["content"] + last}, (first, last)


def _stand_in(characters: tuple[str, str], text: str) -> bool:
    return all(stands_in(character, text) for character in characters)
