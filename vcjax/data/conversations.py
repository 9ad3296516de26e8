"""Turns the shapes in which demonstrations are published into messages and tools.

    messages            [{"role", "content", ...}]: ours, TRL's, OpenAI's
    prompt, completion  TRL's: a user's and the assistant's text, or two lists of messages
    conversations       ShareGPT's and Axolotl's [{"from", "value"}], or messages so named

Each may have tools beside it. Where another trainer would act on a field in a way that vcjax does
not (turns with weights, a prompt with answers in it), the field is an error.
"""

import re
from typing import Any, Literal

from pydantic import AliasChoices, Field

from vcjax.data.fields import Fields, Text, checked, fail, kind
from vcjax.data.json_files import fault, parse_json
from vcjax.errors import nearest

SHAPES = (("messages",), ("prompt", "completion"), ("conversations",))
REASONING = ("reasoning", "reasoning_content", "thinking")  # ours, OpenAI-style APIs', TRL's
ROLE_OF_FIELD = {
    **dict.fromkeys((*REASONING, "tool_calls"), "assistant"),
    **dict.fromkeys(("name", "tool_call_id"), "tool"),
}
# Fields by which Axolotl and OpenAI select the turns to train on.
TRAINING_MARKS = {"weight", "train", "training", "train_detail", "training_detail"}
NOT_READ = {
    "system": "make it the first message",
    "chat_template_kwargs": "all conversations are rendered alike; remove it",
    "label": "if it marks bad answers, remove those; then remove or rename it",
}


class _Prompt(Fields):
    prompt: Text
    completion: Text


class _Turn(Fields):
    """A message of any role. `from` and `value` are ShareGPT's names, human and gpt its roles."""

    role: Literal["system", "user", "assistant", "tool", "human", "gpt"] = Field(
        validation_alias=AliasChoices("role", "from")
    )
    content: str | None = Field(None, validation_alias=AliasChoices("content", "value"))
    reasoning: str | None = None
    reasoning_content: str | None = None
    thinking: str | None = None
    tool_calls: Any = None
    name: Text | None = None
    tool_call_id: Text | None = None


class _Call(Fields):
    type: Literal["function"] = "function"
    function: dict[str, Any]
    id: Text | None = None


class _Function(Fields):
    name: Text
    arguments: dict[str, Any]


def is_conversation(record: dict[str, Any]) -> bool:
    """Whether the record has the fields of one of SHAPES."""
    return any(all(record.get(field) is not None for field in shape) for shape in SHAPES)


def shape_of(record: dict[str, Any], where: str) -> tuple[str, ...]:
    """The one of SHAPES that the record has."""
    given = {field for field, value in record.items() if value is not None}
    for field in given & NOT_READ.keys():
        fail(where, f"field {field!r} is not read; {NOT_READ[field]}")
    shapes = [shape for shape in SHAPES if given.issuperset(shape)]
    if len(shapes) != 1:
        names = ", ".join(repr(field) for field in record if field in given) or "no fields"
        expected = "'messages', or 'conversations', or 'prompt' and 'completion'"
        near = None if shapes else nearest("messages", given)
        also = f"; rename {near!r} if that is it" if near else ""
        fail(where, f"the record has {names}; expected {expected}, one of these{also}")
    return shapes[0]


def messages_of(record: dict[str, Any], shape: tuple[str, ...], where: str) -> tuple[dict, ...]:
    """The messages of a Demonstration. shape: that of the record, by shape_of."""
    if shape == ("prompt", "completion") and isinstance(record["prompt"], str):
        given = checked(_Prompt, {field: record[field] for field in shape}, where)
        record = {
            "prompt": [{"role": "user", "content": given.prompt}],
            "completion": [{"role": "assistant", "content": given.completion}],
        }
    messages = []
    for field in shape:
        turns = record[field]
        if not isinstance(turns, list) or not turns:
            fail(where, f"field {field!r} is {kind(turns)}; expected a list of messages")
        for index, turn in enumerate(turns):
            messages.append(_message(turn, f"{field}[{index}]", where))
            if field == "prompt" and messages[-1]["role"] == "assistant":
                fail(
                    where,
                    f"field 'prompt[{index}]' is the assistant's, which TRL would not train on and "
                    "vcjax would; write 'messages' to train on all of them",
                )
    if all(message["role"] != "assistant" for message in messages):
        problem = f"field {shape[-1]!r} has no assistant turn; expected one, it is what is trained"
        fail(where, problem)
    return tuple(messages)


def tools_of(record: dict[str, Any], where: str) -> tuple[dict, ...]:
    """The JSON schemas of the functions that could be called; they may be given as JSON text."""
    tools = _items(record.get("tools"), "tools", where, "JSON schemas")
    return tuple(_tool(tool, name, where) for name, tool in tools)


def _tool(tool: Any, name: str, where: str) -> dict[str, Any]:
    tool = _object(tool, name, where)
    if isinstance(tool.get("function"), dict):
        return tool | {"function": _tool(tool["function"], f"{name}.function", where)}
    if isinstance(tool.get("parameters"), str):  # Axolotl: to give all rows of a table one type
        return tool | {"parameters": _decoded(tool["parameters"], f"{name}.parameters", where)}
    return tool


def _message(given: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        fail(where, f"field '{name}' is {kind(given)}; expected a JSON object")
    # Tables hold an empty list where a turn has no tool calls.
    given = {field: value for field, value in given.items() if value is not None and value != []}
    for field in TRAINING_MARKS & given.keys():
        problem = "expected none: the assistant's turns are trained on, all alike"
        fail(where, f"field '{name}.{field}' says what to train on; {problem}")
    turn = checked(_Turn, given, where, name)
    role = {"human": "user", "gpt": "assistant"}.get(turn.role, turn.role)
    for field in given:
        if ROLE_OF_FIELD.get(field, role) != role:
            fail(where, f"field '{name}.{field}' stands in a turn of {role!r}; remove it")
    content_field = f"{name}.{'value' if 'from' in given else 'content'}"
    if turn.content is None and turn.tool_calls is None:
        fail(where, f"field '{content_field}' is missing; expected a string")
    if role == "assistant":
        return {"role": role} | _assistant(turn, name, content_field, where)
    fields = turn.model_dump(include={"content", "name", "tool_call_id"}, exclude_none=True)
    return {"role": role} | fields


def _assistant(turn: _Turn, name: str, content_field: str, where: str) -> dict[str, Any]:
    """The message without its role: content, and reasoning, tags and tool_calls if not empty."""
    calls = [
        _tool_call(call, place, where)
        for place, call in _items(turn.tool_calls, f"{name}.tool_calls", where, "tool calls")
    ]
    thinking, content, tags = _split_thinking(turn.content or "", content_field, where)
    written = [field for field in REASONING if getattr(turn, field) is not None]
    if len(written) + (thinking is not None) > 1:
        fail(where, f"field '{name}.{written[0]}' is not its only thinking; expected it once")
    if written:
        thinking = getattr(turn, written[0])
    if not content.strip() and not calls:
        fail(where, f"field '{content_field}' is blank; expected text")
    message: dict[str, Any] = {"content": content}
    if thinking and thinking.strip():
        message["reasoning"] = thinking
    if tags:
        message["tags"] = tags
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_call(call: Any, name: str, where: str) -> dict[str, Any]:
    given = {field: v for field, v in _object(call, name, where).items() if v is not None}
    call = checked(_Call, given, where, name)
    function, name = call.function, f"{name}.function"
    # A table has null for a call that needs no arguments.
    arguments = {} if function.get("arguments") is None else function["arguments"]
    arguments = _object(arguments, f"{name}.arguments", where)
    text = checked(_Function, function | {"arguments": arguments}, where, name).model_dump()
    return {"type": "function", "function": text} | ({"id": call.id} if call.id else {})


def _items(value: Any, name: str, where: str, expected: str) -> list[tuple[str, Any]]:
    """The items of a list that may be JSON text, each with its name; null is an empty list."""
    value = [] if value is None else _decoded(value, name, where)
    if not isinstance(value, list):
        fail(where, f"field '{name}' is {kind(value)}; expected a list of {expected}")
    return [(f"{name}[{index}]", item) for index, item in enumerate(value)]


def _object(value: Any, name: str, where: str) -> dict[str, Any]:
    value = _decoded(value, name, where)
    if not isinstance(value, dict):
        fail(where, f"field '{name}' is {kind(value)}; expected a JSON object")
    if problem := fault(value, name):  # templates write it as JSON
        fail(where, problem)
    return value


def _decoded(value: Any, name: str, where: str) -> Any:
    """Tables hold values of mixed types as JSON text."""
    return parse_json(value, f"{where}: field '{name}'") if isinstance(value, str) else value


def _split_thinking(
    content: str, name: str, where: str
) -> tuple[str | None, str, list[str] | None]:
    """(thinking, answer, tags) of a text that begins with <think>...</think>; else (None, text,
    None).

    tags: what stands before the thinking and behind it, with the space: all together are the text.
    Tags further on in the text are left as they are. A text that only closes a block is refused:
    some models have the opening tag in their prompt.
    """
    opened, closed = content.count("<think>"), content.count("</think>")
    block = re.match(r"(\s*<think>\s*)(.*?)(\s*</think>\s*)(.*)", content, re.DOTALL)
    if block and opened == closed == 1:
        return block[2], block[4], [block[1], block[3]]
    if content.lstrip().startswith("<think>") or closed > opened:
        problem = "expected one whole block, before the answer, or the thinking in 'reasoning'"
        fail(where, f"field '{name}' has <think> {opened} and </think> {closed} times; {problem}")
    return None, content, None
