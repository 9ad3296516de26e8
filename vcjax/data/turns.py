"""The assistant's turns in the text of a chat template: where each begins and ends.

A turn is what the template appends to the prompt that the model sees when it answers, up to the
token that ends it. Whatever a message says has to stand in a turn or in a prompt.
"""

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from vcjax.data.conversations import REASONING
from vcjax.data.jinja import Span
from vcjax.data.marking import PRIVATE_USE, control_pattern, stands_in
from vcjax.data.rendering import Conversation, form_for, render_probe
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError

# A thought that a prompt opens, or opens and closes, for the answer to go on from: of Qwen3 and
# DeepSeek-R1, EXAONE, Seed; of Command A; of Gemma 4.
THOUGHT = re.compile(
    r"(?P<open><(?P<tag>[\w:]*(?:think|thought))>|<\|START_THINKING\|>|<\|channel>thought\n)\s*"
    r"(?P<close></(?P=tag)>|<\|END_THINKING\|>|<channel\|>)?\s*\Z"
)
CLOSINGS = {"<|START_THINKING|>": "<|END_THINKING|>", "<|channel>thought\n": "\n<channel|>"}


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

    token: the control token that ends it, "" where that is not known. rest: what is written behind
    that, and space, at the end of a conversation. tail: what is written behind the turn, to its
    end, only where more follows or is asked for; "" where it always is.
    """

    token: str = ""
    rest: str = ""
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

    Raises InputError if the message's text does not begin with the prompt; white space, and a
    thought that the prompt opens, may be missing in it.
    """
    *history, last = messages
    prompt, text = conversation.prompt(history), conversation.text(messages)
    if text.startswith(prompt):
        return prompt, text[len(prompt) :]
    thought = THOUGHT.search(prompt)
    start = prompt[: thought.start()] if thought else prompt
    written = _behind(conversation, messages, text, start)
    # A thought that it writes itself, as TRL's template of DiffusionGemma, is not in the prompt.
    opened = thought and written and thought["open"] in written.replace(last["content"], "")
    if written is not None and not opened:
        # The template leaves the thought out of the turn (R1, QwQ).
        return prompt, _end_of_thought(thought, last, written) + written
    if len(history) > 1 and history[0]["role"] == "system":
        # Mistral's templates write the system prompt into the user's message only if that is the
        # last message: the prompt has it, the conversation with the answer has not.
        before = conversation.prompt(history[1:])
        if text.startswith(before) and text == conversation.text(messages[1:]):
            return prompt, text[len(before) :]
    header = prompt.removeprefix(conversation.text(history)) if history else ""
    if header not in ("", prompt) and text.count(header) == prompt.count(header):
        # The history is written otherwise once an answer follows (a tool's result, by Hermes).
        return prompt, text.rpartition(header)[2]
    same = len(_shared(prompt, text))
    ours, theirs = (repr(one[same : same + 40]) for one in (text, prompt))
    problem = f"is rendered otherwise than its prompt: {ours} stands where that has {theirs}"
    fail(conversation, len(history), problem)


def _behind(
    conversation: Conversation, messages: Sequence[dict], text: str, start: str
) -> str | None:
    """What the messages' text has behind `start`; None if it begins otherwise, white space aside.

    Pretty-printed templates write other white space behind a prompt than before an answer. Then
    the answer follows that of the prompt.
    """
    if text.startswith(start):
        return text[len(start) :]
    place = 0
    for word in start.split():
        for character in word:
            while text[place : place + 1].isspace():
                place += 1
            if text[place : place + 1] != character:
                return None
            place += 1
    if start[-1:].isspace():
        *history, last = messages
        first, _ = conversation.spare[len(history)]  # the content's own white space stays
        marked = conversation.text([*history, last | {"content": first + last["content"]}])[place:]
        place += len(marked) - len(marked.lstrip())
    return text[place:]


def _end_of_thought(thought: re.Match[str] | None, message: dict, written: str) -> str:
    """What the turn begins with before `written` where its prompt has opened a thought."""
    if not thought or thought["close"]:
        return ""
    closing = CLOSINGS.get(thought["open"], f"\n</{thought['tag']}>\n\n")
    if written.startswith(closing.strip()):
        closing = ""
    return message.get("reasoning_content", "").strip() + closing


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
    """The token behind an answer's text that stands there whether or not the user goes on.

    What comes only behind the last turn ends none, as <|endoftext|> behind the <|end|> of Phi-3.5,
    unless there is nothing else (gpt-oss ends the last turn by <|return|>, all others by <|end|>).
    Where nothing ends the last turn, what follows it does: <|im_end|> in Qwen1.5, and in GLM-4 the
    token by which the user's turn begins.
    """
    said, answer, more = map(chr, PRIVATE_USE[:3])
    talk = [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    form = form_for(tokenizer, template, has_system=False)

    def render(messages: list[dict], asked: bool = False) -> str:
        return render_probe(tokenizer, template, form(messages), asked)

    try:
        before, _, last = render(talk).partition(answer)
        asked = render(talk, asked=True).partition(answer)[2]
        inside = render([*talk, {"role": "user", "content": more}]).partition(answer)[2]
    except Exception:  # a template may refuse this conversation, and not others
        return End()
    inside = inside.partition(more)[0]
    names, controls = tokenizer.template_tokens, control_pattern(tokenizer)
    eos = names.get("eos_token", "")
    for text in (_shared(last, inside), last):
        if tokens := controls.findall(text):
            is_whole = text.strip() == last.strip()
            token = eos if eos in tokens else tokens[-1 if is_whole else 0]
            return End(token, rest=last.partition(token)[2].lstrip())
    if eos in controls.findall(_shared(asked, inside)):
        return End(eos, tail=inside[: inside.index(eos) + len(eos)])
    follows, header = controls.search(inside), before.partition(said)[2]
    if follows and follows[0] not in [*controls.findall(header), names.get("bos_token")]:
        return End(follows[0], tail=inside[: follows.end()])
    return End()


def _shared(first: str, second: str) -> str:
    """What both texts begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return "".join(character for character, _ in pairs)


def _turn(tokenizer: Tokenizer, conversation: Conversation, index: int) -> Turn:
    prompt, appended = answered(conversation, conversation.messages[: index + 1])
    message = conversation.messages[index]
    answer = _to_its_end(tokenizer, conversation.template, message, appended)
    if answer is None:
        fail(
            conversation,
            index,
            "is ended by no control token of the model, which would not learn to stop",
        )
    turn = Turn(index, prompt, answer, rest=appended[len(answer) :])
    _check_written(tokenizer, conversation, turn)
    return turn


def _to_its_end(tokenizer: Tokenizer, template: str, message: dict, appended: str) -> str | None:
    """What the message appends up to the token that ends its turn; None if nothing ends it."""
    end = end_of_turn(tokenizer, template)
    appended = appended.removesuffix(end.rest)
    controls = list(control_pattern(tokenizer).finditer(appended))
    for control in controls:
        if control[0] == end.token:
            return appended[: control.end()]
    if end.tail:  # what follows a call is not the user
        return None if message.get("tool_calls") else appended + end.tail
    if controls and not appended[controls[-1].end() :].strip():  # gpt-oss ends calls by <|call|>
        return appended[: controls[-1].end()]
    return None


def _check_written(tokenizer: Tokenizer, conversation: Conversation, turn: Turn) -> None:
    """Raises InputError if the template left a field of the message out of its turn."""
    message = conversation.messages[turn.index]
    history = conversation.messages[: turn.index]
    for name in ("content", "reasoning"):
        if not message.get(name, "").strip():
            continue
        marked, edges = _with_edges(conversation, turn.index, name)
        _, appended = answered(conversation, [*history, marked])
        answer = _to_its_end(tokenizer, conversation.template, marked, appended)
        if answer is None or not _stand_in(edges, answer):
            _fail_left_out(conversation, turn, name)
    calls = message.get("tool_calls", [])
    for index in range(len(calls)):
        without = message | {"tool_calls": calls[:index] + calls[index + 1 :]}
        if len(calls) == 1:
            del without["tool_calls"]
        try:
            prompt, appended = answered(conversation, [*history, without])
        except InputError:  # the template cannot do without it
            continue
        answer = _to_its_end(tokenizer, conversation.template, without, appended)
        if (prompt, answer) == (turn.prompt, turn.answer):
            name = "tool_calls" if len(calls) == 1 else f"tool_calls[{index}]"
            _fail_left_out(conversation, turn, name)


def _fail_left_out(conversation: Conversation, turn: Turn, field: str) -> NoReturn:
    problem = f"has {field}, which this model's chat template leaves out"
    if not field.startswith("tool_calls"):
        problem += " or cuts"
    if turn.rest.strip():
        problem += ", or writes behind the end of the turn"
    fail(conversation, turn.index, problem)


def _with_edges(
    conversation: Conversation, index: int, name: str = "content"
) -> tuple[dict, tuple[str, str]]:
    """The message with a character before and behind its content, or its reasoning, and these
    characters."""
    message, (first, last) = conversation.messages[index], conversation.spare[index]
    fields = REASONING if name == "reasoning" else (name,)
    return message | dict.fromkeys(fields, first + message[name] + last), (first, last)


def _stand_in(characters: tuple[str, str], text: str) -> bool:
    return all(stands_in(character, text) for character in characters)
