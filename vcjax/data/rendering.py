"""A conversation made ready for the model's chat template, and the template applied to it."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vcjax.data import jinja
from vcjax.data.conversations import REASONING
from vcjax.data.jinja import Span
from vcjax.data.marking import PRIVATE_USE, mark_controls, stands_in, unused_characters
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError

Form = Callable[[Sequence[dict]], list[dict]]  # of messages


@dataclass(frozen=True)
class Conversation:
    """What a template is given of a conversation.

    messages: with `mark` in texts that spell control tokens (marking.py). form: how the template
    takes them. template: its Jinja source. variables: what it gets beside the messages. borders:
    two characters for jinja.render. spare: two more for each message. None of these characters
    occurs in the conversation. where: the conversation's place, for errors.
    """

    messages: list[dict]
    form: Form
    template: str
    variables: dict[str, Any]
    mark: str
    borders: list[str]
    spare: list[tuple[str, str]] = field(repr=False)
    where: str

    def render(self, messages: Sequence[dict], **variables: Any) -> tuple[str, list[Span]]:
        """The text of these messages, and its spans that are inside `{% generation %}`."""
        try:
            return jinja.render(
                self.template,
                self.borders,
                {"add_generation_prompt": False, **self.variables, **variables}
                | {"messages": self.form(messages)},
            )
        except Exception as error:  # the template is a program of the model's: it raises anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self.where}: the model's chat template refuses it: {reason}"
            ) from error

    def text(self, messages: Sequence[dict]) -> str:
        """The text of these messages."""
        return self.render(messages)[0]

    def prompt(self, messages: Sequence[dict]) -> str:
        """The text that the model sees when it answers these messages."""
        return self.render(messages, add_generation_prompt=True)[0]


def prepare(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool,
    tools: Sequence[dict],
) -> Conversation:
    """Raises InputError without a template, and where it has no place for the tools."""
    template = template_for(tokenizer, tools)
    if not template:
        raise InputError(f"{where}: the model has no chat template; use one that has, or documents")
    mark, *unused = unused_characters([*messages, *tools], 3 + 2 * len(messages))
    form = form_for(tokenizer, template, has_system="system" in [m["role"] for m in messages[:1]])
    as_written = thinking and keeps_thoughts(tokenizer, template)
    conversation = Conversation(
        messages=[_for_template(tokenizer, m, mark, thinking, as_written) for m in messages],
        form=(lambda given: form(with_thoughts(given))) if as_written else form,
        template=template,
        variables={
            "documents": None,  # `transformers` defines it, so templates may test it
            "enable_thinking": thinking,
            "thinking": thinking,  # its name in the templates of DeepSeek and Granite
            "tools": mark_controls(tokenizer, list(tools), mark) or None,
            **tokenizer.template_tokens,
        },
        mark=mark,
        borders=unused[:2],
        spare=list(zip(unused[2::2], unused[3::2], strict=True)),
        where=where,
    )
    conversation = _with_arguments(conversation)
    if tools:
        _check_tools(conversation)
    return conversation


def template_for(tokenizer: Tokenizer, tools: Sequence[dict] = ()) -> str:
    """The template of a conversation with these tools, as `transformers` chooses it."""
    named = tokenizer.named_templates.get("tool_use") if tools else None
    return named or tokenizer.chat_template


@functools.lru_cache(maxsize=8)
def form_for(tokenizer: Tokenizer, template: str, has_system: bool) -> Form:
    """How the template takes messages: as they are, unless it then leaves out a question, or a
    system prompt before it, and writes them in another form."""
    texts = {"system": chr(PRIVATE_USE[0]), "user": chr(PRIVATE_USE[1])}
    talk = [{"role": r, "content": c} for r, c in texts.items() if has_system or r != "system"]
    for form in (list, in_parts, *FOLDS):
        try:
            text = render_probe(tokenizer, template, form(talk), asked=True)
        except Exception:  # as in Conversation.render
            continue
        if all(stands_in(message["content"], text) for message in talk):
            return form
    return list


def in_parts(messages: Sequence[dict]) -> list[dict]:
    """Contents as lists of one part, as templates take them that show images between texts."""
    return [m | {"content": [{"type": "text", "text": m["content"]}]} for m in messages]


def folded(messages: Sequence[dict]) -> list[dict]:
    """The system prompt at the head of the first question, where Gemma 3's template writes it."""
    match messages:
        case [{"role": "system", "content": prompt}, {"role": "user"} as user, *rest]:
            texts = [text for text in (prompt, user["content"]) if text.strip()]
            return [user | {"content": "\n\n".join(texts)}, *rest]
    return list(messages)


def folded_in_parts(messages: Sequence[dict]) -> list[dict]:
    return in_parts(folded(messages))


@functools.lru_cache(maxsize=8)
def keeps_thoughts(tokenizer: Tokenizer, template: str) -> bool:
    """Whether the template writes <think>...</think> at the head of a content as such.

    Not where it leaves it out, where its prompt opens it, or where it writes `reasoning` in another
    form.
    """
    said, thought, answer = map(chr, PRIVATE_USE[:3])
    asked = [{"role": "user", "content": said}]
    apart = {"role": "assistant", "content": answer} | dict.fromkeys(REASONING, thought)
    written = apart | {"tags": ["\n<think>\n", "\n</think>\n\n"]}
    form = form_for(tokenizer, template, has_system=False)
    render = functools.partial(render_probe, tokenizer, template, enable_thinking=True)
    try:
        prompt = render(form(asked), asked=True)
        text, other = (render(form(with_thoughts([*asked, one]))) for one in (written, apart))
    except Exception:  # as in Conversation.render
        return False
    if not (text.startswith(prompt) and stands_in(thought, text) and stands_in(answer, text)):
        return False
    return not stands_in(thought, other) or "".join(text.split()) == "".join(other.split())


def with_thoughts(messages: Sequence[dict]) -> list[dict]:
    """Contents as the record has them: with the reasoning, where that has stood in them."""
    return [_with_thought(message) for message in messages]


def _with_thought(message: dict) -> dict:
    if "tags" not in message:
        return message
    (opening, closing), reasoning = message["tags"], message.get("reasoning", "")
    others = {field: v for field, v in message.items() if field not in (*REASONING, "tags")}
    return others | {"content": opening + reasoning + closing + message["content"]}


FOLDS = (folded, folded_in_parts)  # of templates that refuse a system prompt, or leave it out


def render_probe(
    tokenizer: Tokenizer,
    template: str,
    messages: Sequence[dict],
    asked: bool = False,
    **variables: Any,
) -> str:
    """The text of messages that say nothing, to learn how the template writes; it may raise."""
    variables |= {"messages": messages, "tools": [], "add_generation_prompt": asked}
    borders = [chr(PRIVATE_USE[-1]), chr(PRIVATE_USE[-2])]
    return jinja.render(template, borders, variables | tokenizer.template_tokens)[0]


def _for_template(
    tokenizer: Tokenizer, message: dict, mark: str, thinking: bool, as_written: bool
) -> dict:
    """The message, its texts marked, with its reasoning under all the names that templates read, as
    `transformers` gives it, or without; as_written: with its tags, which may be control tokens."""
    given = {f: value for f, value in message.items() if f not in ("reasoning", "tags")}
    if thinking and "reasoning" in message:
        given |= dict.fromkeys(REASONING, message["reasoning"])
    tags = {"tags": message["tags"]} if as_written and "tags" in message else {}
    return mark_controls(tokenizer, given, mark) | tags


def _with_arguments(conversation: Conversation) -> Conversation:
    """The arguments of tool calls as the template takes them: objects, or else JSON text.

    A template that adds them to a text raises for objects, one that prints them writes Python.
    """
    objects = conversation.messages
    calls = [call["function"] for m in objects for call in m.get("tool_calls", ())]
    printed = [repr(call["arguments"]) for call in calls if call.get("arguments")]
    if not printed:
        return conversation
    reason = f"{conversation.where}: the chat template writes the arguments of tool calls as Python"
    try:
        text = conversation.text(objects)
        if not any(arguments in text for arguments in printed):
            return conversation
    except InputError as error:
        reason = str(error)
    texts = [_with_json_arguments(message) for message in objects]
    try:
        conversation.text(texts)
    except InputError:  # what is wrong is not the arguments, or they can be given in no way
        raise InputError(reason) from None
    return replace(conversation, messages=texts)


def _with_json_arguments(message: dict) -> dict:
    if "tool_calls" not in message:
        return message

    def as_text(call: dict) -> dict:
        function = call["function"]
        arguments = json.dumps(function.get("arguments", {}), ensure_ascii=False)
        return call | {"function": function | {"arguments": arguments}}

    return message | {"tool_calls": [as_text(call) for call in message["tool_calls"]]}


def _check_tools(conversation: Conversation) -> None:
    """Raises InputError if the template leaves out the tools."""
    text = conversation.text(conversation.messages)
    try:
        without, _ = conversation.render(conversation.messages, tools=None)
    except InputError:  # it cannot do without them
        return
    if text == without:
        raise InputError(
            f"{conversation.where}: it has tools, which this model's chat template leaves out; use "
            "another chat template or model"
        )
