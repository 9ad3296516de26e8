"""The shapes that demonstrations come in -> messages and tools in ours.

    messages            [{"role", "content", ...}]: ours, TRL's, OpenAI's
    prompt, completion  TRL's: a user's and the assistant's text, or two lists of messages
    conversations       ShareGPT's and Axolotl's [{"from", "value"}], or messages so named

and, beside any of them, perhaps tools. What another trainer would do otherwise than vcjax (turns
with weights, a prompt that holds answers) is an error, never ignored.
"""

import re
from typing import Any

from vcjax.data.fields import fail, kind, one_of, present, refuse_unknown, string, text
from vcjax.data.json_files import parse_json

SHAPES = (("messages",), ("prompt", "completion"), ("conversations",))
ROLES = {role: role for role in ("system", "user", "assistant", "tool")}
ROLES_OF_SHAREGPT = ROLES | {"human": "user", "gpt": "assistant"}
REASONING = ("reasoning", "reasoning_content", "thinking")  # ours, OpenAI-style APIs', TRL's
FIELDS_OF_ROLE = {
    "assistant": {*REASONING, "tool_calls"},
    "tool": {"name", "tool_call_id"},
}
# Axolotl's and OpenAI's marks of what to train on.
TRAINING_MARKS = {"weight", "train", "training", "train_detail", "training_detail"}
NOT_READ = {
    "system": "make it the first message",
    "chat_template_kwargs": "all conversations are rendered alike; remove it",
    "label": "if it marks bad answers, remove those; then remove or rename it",
}


def shape_of(record: dict[str, Any], where: str) -> tuple[str, ...]:
    """The fields that hold the conversation."""
    given = {field for field, value in record.items() if value is not None}
    for field in given & NOT_READ.keys():
        fail(where, f"field {field!r} is not read; {NOT_READ[field]}")
    found = [shape for shape in SHAPES if given.issuperset(shape)]
    if len(found) != 1:
        names = ", ".join(repr(field) for field in record if field in given) or "no fields"
        expected = "'messages', or 'conversations', or 'prompt' and 'completion'"
        fail(where, f"the record has {names}; expected {expected}, one of these")
    return found[0]


def messages_of(record: dict[str, Any], shape: tuple[str, ...], where: str) -> tuple[dict, ...]:
    """The conversation as Demonstration has it; shape is what shape_of said."""
    if shape == ("prompt", "completion") and isinstance(record["prompt"], str):
        question, answer = (text(record, field, where) for field in shape)
        record = {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": answer}],
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
    """The functions that could be called: JSON schemas, given as such or as JSON in strings."""
    tools = record.get("tools")
    if tools is None:
        return ()
    tools = _decoded(tools, "tools", where)
    if not isinstance(tools, list):
        fail(where, f"field 'tools' is {kind(tools)}; expected a list of JSON schemas")
    return tuple(_tool(tool, f"tools[{index}]", where) for index, tool in enumerate(tools))


def _tool(tool: Any, name: str, where: str) -> dict[str, Any]:
    tool = _object(_decoded(tool, name, where), name, where)
    if isinstance(tool.get("function"), dict):
        return tool | {"function": _tool(tool["function"], f"{name}.function", where)}
    if isinstance(tool.get("parameters"), str):  # Axolotl: to give all rows of a table one type
        return tool | {"parameters": _decoded(tool["parameters"], f"{name}.parameters", where)}
    return tool


def _message(turn: Any, name: str, where: str) -> dict[str, Any]:
    # Tables hold an empty list where a turn has no tool calls.
    given = {f: v for f, v in _object(turn, name, where).items() if v is not None and v != []}
    prefix = name + "."
    of_sharegpt = "from" in given
    role_field, content_field = ("from", "value") if of_sharegpt else ("role", "content")
    roles = ROLES_OF_SHAREGPT if of_sharegpt else ROLES
    role = roles[one_of(given, role_field, roles, where, prefix)]
    for field in given:
        if field in TRAINING_MARKS:
            problem = "expected none: the assistant's turns are trained on, all alike"
            fail(where, f"field '{prefix}{field}' says what to train on; {problem}")
        if any(field in fields for other, fields in FIELDS_OF_ROLE.items() if other != role):
            fail(where, f"field '{prefix}{field}' stands in a turn of {role!r}; remove it")
    known = {role_field, content_field, *FIELDS_OF_ROLE.get(role, ())}
    refuse_unknown(given, known, where, prefix)
    if role == "assistant":
        return {"role": role} | _assistant(given, content_field, prefix, where)
    message = {"role": role, "content": string(given, content_field, where, prefix)}
    return message | {
        field: text(given, field, where, prefix)
        for field in ("name", "tool_call_id")
        if field in given
    }


def _assistant(
    given: dict[str, Any], content_field: str, prefix: str, where: str
) -> dict[str, Any]:
    """content, and reasoning and tool_calls where there are any; blank reasoning is none."""
    calls = _tool_calls(given.get("tool_calls", []), f"{prefix}tool_calls", where)
    if calls:  # then there need not be anything to say
        given = {content_field: "", **given}
    content = string(given, content_field, where, prefix)
    thinking, content = _split_thinking(content, f"{prefix}{content_field}", where)
    written = [field for field in REASONING if field in given]
    if len(written) + (thinking is not None) > 1:
        fail(where, f"field '{prefix}{written[0]}' is not its only thinking; expected it once")
    if written:
        thinking = string(given, written[0], where, prefix)
    if not content.strip() and not calls:
        fail(where, f"field '{prefix}{content_field}' is blank; expected text")
    message: dict[str, Any] = {"content": content}
    if thinking and thinking.strip():
        message["reasoning"] = thinking
    if calls:
        message["tool_calls"] = calls
    return message


def _split_thinking(content: str, name: str, where: str) -> tuple[str | None, str]:
    """(thinking, answer) of a text that begins with <think>...</think>, else (None, text).

    A text that mentions the tags further on is left as it is, but for a block that is only closed:
    its opening is in some models' prompts.
    """
    opened, closed = content.count("<think>"), content.count("</think>")
    block = re.match(r"\s*<think>(.*)</think>\s*(.*)", content, re.DOTALL)
    if block and opened == closed == 1:
        return block[1].strip(), block[2]
    if content.lstrip().startswith("<think>") or closed > opened:
        problem = "expected one whole block, before the answer, or the thinking in 'reasoning'"
        fail(where, f"field '{name}' has <think> {opened} and </think> {closed} times; {problem}")
    return None, content


def _tool_calls(calls: Any, name: str, where: str) -> list[dict]:
    calls = _decoded(calls, name, where)
    if not isinstance(calls, list):
        fail(where, f"field '{name}' is {kind(calls)}; expected a list of tool calls")
    return [_tool_call(call, f"{name}[{index}]", where) for index, call in enumerate(calls)]


def _tool_call(call: Any, name: str, where: str) -> dict[str, Any]:
    call = _object(_decoded(call, name, where), name, where)
    call = {field: value for field, value in call.items() if value is not None}
    refuse_unknown(call, {"type", "function", "id"}, where, f"{name}.")
    one_of({"type": "function", **call}, "type", ("function",), where, f"{name}.")
    function = present(call, "function", where, "an object", f"{name}.")
    prefix = f"{name}.function."
    function = _object(function, prefix[:-1], where)
    refuse_unknown(function, {"name", "arguments"}, where, prefix)
    arguments = function.get("arguments")
    if arguments is None:  # what a table has for a call that needs none
        arguments = {}
    arguments = _decoded(arguments, f"{prefix}arguments", where)
    checked = {
        "type": "function",
        "function": {
            "name": text(function, "name", where, prefix),
            "arguments": _object(arguments, f"{prefix}arguments", where),
        },
    }
    return checked | ({"id": text(call, "id", where, f"{name}.")} if "id" in call else {})


def _object(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        fail(where, f"field '{name}' is {kind(value)}; expected a JSON object")
    return value


def _decoded(value: Any, name: str, where: str) -> Any:
    """Tables hold values of mixed types as JSON text."""
    return parse_json(value, f"{where}: field '{name}'") if isinstance(value, str) else value
