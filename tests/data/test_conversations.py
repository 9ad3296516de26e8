"""Each shape becomes the same messages; what another trainer would do otherwise is refused."""

import datetime
import json

import pytest
from data_files import refusal, write_lines, write_parquet

from vcjax.data.formats import read_demonstrations

USER = {"role": "user", "content": "Hello"}
ASSISTANT = {"role": "assistant", "content": "Good day."}
CHAT = [USER, ASSISTANT]
CALL = {"type": "function", "function": {"name": "find", "arguments": {"city": "Oslo", "n": None}}}


@pytest.fixture
def read(tmp_path):
    """The messages of one record, from JSON Lines."""

    def read(record):
        path = write_lines(tmp_path / "file.jsonl", record)
        return list(read_demonstrations(path)[0].messages)

    return read


@pytest.fixture
def complaint(tmp_path):
    """What is wrong with the second of three records."""

    def complaint(record):
        path = write_lines(tmp_path / "file.jsonl", {"messages": CHAT}, record, {"messages": CHAT})
        place, message = refusal(read_demonstrations, path).split(": ", maxsplit=1)
        assert place == f"{path}:2"
        return message

    return complaint


@pytest.mark.parametrize(
    "record",
    [
        {"messages": CHAT},
        {"messages": CHAT, "conversations": None, "prompt": "Hello"},
        {"prompt": "Hello", "completion": "Good day."},
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        {"conversations": CHAT},
        {
            "conversations": [
                {"from": "human", "value": "Hello"},
                {"from": "gpt", "value": "Good day."},
            ]
        },
        {
            "conversations": [
                {"from": "user", "value": "Hello"},
                {"from": "assistant", "value": "Good day.", "weight": None},
            ]
        },
    ],
)
def test_each_shape_gives_the_same_messages(read, record):
    assert read(record) == CHAT


def test_sharegpt_has_system_and_tool_turns(read):
    turns = [("system", "Be brief."), ("human", "Hi"), ("gpt", "Hm."), ("tool", "5"), ("gpt", "5.")]
    messages = read({"conversations": [{"from": role, "value": text} for role, text in turns]})
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert [m["content"] for m in messages] == [text for _, text in turns]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"text": "t", "source": "x"}, "the record has 'text', 'source'; expected 'messages', or"),
        ({"messages": None}, "the record has no fields; expected 'messages'"),
        ({"prompt": "Hello"}, "the record has 'prompt'; expected"),
        ({"messages": CHAT, "conversations": CHAT}, "expected 'messages', or 'conversations', or"),
        ({"messages": CHAT, "prompt": "a", "completion": "b"}, "one of these"),
        ({"messages": CHAT, "system": "Be brief."}, "'system' is not read; make it the first"),
        ({"messages": CHAT, "chat_template_kwargs": {"x": 1}}, "'chat_template_kwargs' is not"),
        ({"prompt": "a", "completion": "b", "label": False}, "field 'label' is not read; if it"),
        ({"prompt": "a", "completion": [ASSISTANT]}, "'completion' is a list of 1; expected a str"),
        ({"prompt": [USER], "completion": "b"}, "'completion' is a string; expected a list of mes"),
        ({"prompt": "a", "completion": ""}, "field 'completion' is blank"),
        (
            {"prompt": [*CHAT, USER], "completion": [ASSISTANT]},
            "field 'prompt[1]' is the assistant's, which TRL would not train on and vcjax would",
        ),
        ({"prompt": [USER], "completion": [USER]}, "'completion' has no assistant turn"),
        ({"message": CHAT}, "'completion', one of these; rename 'message' if that is it"),
    ],
)
def test_a_record_of_no_shape_is_refused(complaint, record, expected):
    assert expected in complaint(record)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("Hello", "field 'messages' is a string; expected a list of messages"),
        ([], "field 'messages' is a list of 0"),
        (CHAT[:1], "no assistant turn"),
        (["Hello"], "field 'messages[0]' is a string; expected a JSON object"),
        ([{"role": "bot", "content": "x"}], "field 'messages[0].role' is 'bot'; expected 'system'"),
        ([{"role": ["user"], "content": "x"}], "field 'messages[0].role' is a list of 1"),
        ([{"from": "bot", "value": "x"}], "field 'messages[0].from' is 'bot'; expected 'system'"),
        ([{"from": "human", "text": "x"}], "'messages[0].text' is unknown; expected one of role"),
        ([{"from": "human", "valeu": "x"}], "'messages[0].valeu' is unknown; did you mean 'value'"),
        ([{**USER, "value": "x"}, ASSISTANT], "field 'messages[0].value' is unknown"),
        ([{**USER, "from": "gpt"}, ASSISTANT], "field 'messages[0].from' is unknown"),
        ([USER, {"role": "assistant"}], "field 'messages[1].content' is missing"),
        ([USER, {"from": "gpt"}], "field 'messages[1].value' is missing"),
        ([USER, {"role": "assistant", "content": ""}], "field 'messages[1].content' is blank"),
        ([{"role": "user", "content": 5}, ASSISTANT], "field 'messages[0].content' is a number"),
        ([{**USER, "content": [{"type": "text"}]}, ASSISTANT], "'messages[0].content' is a list"),
        ([{**USER, "reasoning": "x"}], "field 'messages[0].reasoning' stands in a turn of 'user'"),
        ([{**USER, "tool_calls": [CALL]}], "field 'messages[0].tool_calls' stands in a turn of"),
        ([{**ASSISTANT, "name": "x"}], "field 'messages[0].name' stands in a turn of 'assistant'"),
        ([{**USER, "contents": "x"}], "'messages[0].contents' is unknown; did you mean 'content'"),
        ([USER, {**ASSISTANT, "weight": 0}], "field 'messages[1].weight' says what to train on"),
        ([{**USER, "train": False}, ASSISTANT], "field 'messages[0].train' says what to train on"),
        ([USER, {**ASSISTANT, "train_detail": []}, {"role": "user", "content": 1}], "messages[2]"),
        ([USER, {**ASSISTANT, "train_detail": [{}]}], "'messages[1].train_detail' says what to"),
    ],
)
def test_a_bad_message_is_named(complaint, messages, expected):
    assert expected in complaint({"messages": messages})


# --- Thinking


@pytest.mark.parametrize(
    "answer",
    [
        {"reasoning": "Be polite.", "content": "Good day."},
        {"reasoning_content": "Be polite.", "content": "Good day."},
        {"thinking": "Be polite.", "content": "Good day.", "reasoning": None},
    ],
)
def test_thinking_becomes_reasoning(read, answer):
    messages = read({"messages": [USER, {"role": "assistant", **answer}]})
    assert messages == [USER, {**ASSISTANT, "reasoning": "Be polite."}]


@pytest.mark.parametrize("opening", ["<think>", "\n\n<think>\n", "<think>\n "])
@pytest.mark.parametrize("closing", ["</think>", " \n\n</think>\n\n"])
@pytest.mark.parametrize("thought", [{"reasoning": "Be polite."}, {}])
def test_thinking_in_the_content_becomes_reasoning(read, opening, closing, thought):
    """Its tags stay beside it, with all space: together they are the content."""
    content = opening + thought.get("reasoning", "") + closing + "Good day."
    (_, answer) = read({"messages": [USER, {"role": "assistant", "content": content}]})
    tags = answer.pop("tags")
    assert answer == {**ASSISTANT, **thought}
    assert content == tags[0] + thought.get("reasoning", "") + tags[1] + "Good day."


def test_blank_thinking_is_none(read):
    answer = {"content": "Good day.", "reasoning_content": ""}
    assert read({"messages": [USER, {"role": "assistant", **answer}]}) == CHAT


@pytest.mark.parametrize("text", ["Write <think> first.", "Between <think> and </think> it plans."])
def test_an_answer_may_mention_the_tags(read, text):
    messages = [USER, {"role": "assistant", "content": text}]
    assert read({"messages": messages}) == messages


def test_only_the_assistant_thinks(read):
    messages = [{"role": "user", "content": "<think>a</think> Hello"}, ASSISTANT]
    assert read({"messages": messages}) == messages


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"content": "<think>a</think>b<think>c</think>d"}, "has <think> 2 and </think> 2 times"),
        ({"content": "<think>a <think> b</think> c"}, "has <think> 2 and </think> 1 times"),
        ({"content": "<think>cut off by the length limit"}, "has <think> 1 and </think> 0 times"),
        ({"content": "opened by the prompt</think>Hi"}, "has <think> 0 and </think> 1 times"),
        ({"content": "<think>a</think>\n"}, "field 'messages[1].content' is blank"),
        ({"content": "<think>a</think>b", "reasoning": "c"}, "'messages[1].reasoning' is not its"),
        ({"content": "b", "reasoning": "c", "thinking": "c"}, "is not its only thinking"),
        ({"content": "b", "reasoning": 3}, "field 'messages[1].reasoning' is a number"),
    ],
)
def test_thinking_that_could_be_read_two_ways_is_refused(complaint, answer, expected):
    assert expected in complaint({"messages": [USER, {"role": "assistant", **answer}]})


# --- Tools


@pytest.mark.parametrize(
    "call",
    [
        CALL,
        {"function": CALL["function"], "id": None},
        json.dumps(CALL),
        {"function": {"name": "find", "arguments": json.dumps(CALL["function"]["arguments"])}},
    ],
)
def test_tool_calls_have_one_form(read, call):
    """Given as objects or as JSON in strings; a null that the author wrote as an argument stays."""
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {"role": "tool", "content": "", "name": "find", "tool_call_id": "a1"}
    messages = read({"messages": [USER, asked, answer, {**ASSISTANT, "tool_calls": []}]})
    called = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert messages == [USER, called, answer, ASSISTANT]


def test_a_call_keeps_its_id_and_needs_no_arguments(read):
    call = {"type": "function", "function": {"name": "now"}, "id": "a1"}
    messages = read({"messages": [USER, {**ASSISTANT, "tool_calls": [call]}]})
    kept = {"type": "function", "function": {"name": "now", "arguments": {}}, "id": "a1"}
    assert messages[1] == {**ASSISTANT, "tool_calls": [kept]}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ({}, "'messages[1].tool_calls' is an object; expected a list of tool calls"),
        (["{"], "field 'messages[1].tool_calls[0]': not valid JSON"),
        ([[]], "'messages[1].tool_calls[0]' is a list of 0; expected a JSON object"),
        ([{"name": "f"}], "'messages[1].tool_calls[0].name' is unknown"),
        ([{"type": "code", "function": {}}], "'messages[1].tool_calls[0].type' is 'code'"),
        ([{"type": "function"}], "function' is missing; expected a JSON object"),
        ([{"function": {"arguments": {}}}], "'messages[1].tool_calls[0].function.name' is missing"),
        ([{"function": {"name": "f", "arguments": ""}}], "function.arguments': not valid JSON"),
        ([{"function": {"name": "f", "arguments": "[]"}}], "function.arguments' is a list of 0"),
        ([{"function": {"name": "f", "strict": True}}], "function.strict' is unknown"),
        ([{"function": {"name": "f"}, "id": 1}], "'messages[1].tool_calls[0].id' is a number"),
    ],
)
def test_a_bad_tool_call_is_named(complaint, calls, expected):
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    assert expected in complaint({"messages": [USER, answer]})


def test_tools_are_objects_or_json_in_strings(tmp_path):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "find", "parameters": schema}}
    string = {"type": "function", "function": {"name": "find", "parameters": json.dumps(schema)}}
    for tools in ([tool], json.dumps([tool]), [json.dumps(tool)], [string]):
        path = write_parquet(tmp_path / "a.parquet", [{"messages": CHAT, "tools": tools}])
        assert read_demonstrations(path)[0].tools == (tool,)
    bare = write_lines(tmp_path / "a.jsonl", {"messages": CHAT, "tools": [tool["function"]]})
    assert read_demonstrations(bare)[0].tools == (tool["function"],)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("find", "field 'tools': not valid JSON"),
        ({"name": "find"}, "field 'tools' is an object; expected a list of JSON schemas"),
        ([3], "field 'tools[0]' is a number; expected a JSON object"),
    ],
)
def test_bad_tools_are_named(complaint, tools, expected):
    assert expected in complaint({"messages": CHAT, "tools": tools})


def test_what_a_table_has_and_json_has_not_is_named(tmp_path):
    def arguments(value):
        call = {"function": {"name": "f", "arguments": {"of": [{"x": value}]}}}
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        return write_parquet(tmp_path / "a.parquet", [{"messages": [answer]}])

    arguments_field = "messages[0].tool_calls[0].function.arguments"
    field = f"{tmp_path}/a.parquet:row 0: field '{arguments_field}.of[0].x'"
    number = "expected a finite number, null or text"
    for value, problem in (
        (float("nan"), f"is NaN; {number}"),
        (float("-inf"), f"is Infinity, or too large; {number}"),
        (datetime.date(2026, 5, 1), "is date; expected text, a number, true, false or null"),
    ):
        assert refusal(read_demonstrations, arguments(value)) == f"{field} {problem}"
    tools = [{"name": "f", "parameters": {"minimum": float("nan")}}]
    path = write_parquet(tmp_path / "a.parquet", [{"messages": CHAT, "tools": tools}])
    expected = f"field 'tools[0].parameters.minimum' is NaN; {number}"
    assert refusal(read_demonstrations, path).endswith(expected)


def test_json_in_a_string_is_read_as_strictly(complaint):
    for text, problem in (
        ('{"x": NaN}', "field 'x' is NaN; expected a finite number"),
        ('{"x": {"y": "\\ud83d"}}', "field 'x.y' has half of a surrogate pair"),
        ('{"x": 1, "x": 2}', "field 'x' occurs twice"),
    ):
        call = {"function": {"name": "f", "arguments": text}}
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        expected = f"field 'messages[0].tool_calls[0].function.arguments': {problem}"
        assert expected in complaint({"messages": [answer]})
