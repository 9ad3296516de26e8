"""What is trained on, in the chat templates of all families: multi-turn, thinking, tools.

Each expected text is whole, what is trained on in [[...]]; where there are several, each is an
example of its own.
"""

import chats
import pytest
from chats import ANSWER, CALL, PRICE, REASON, RESULT, SYSTEM, TALK, TOOLS, USER, WHY

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.data.tokenizer import decode
from vcjax.errors import InputError


def shown(family, messages, **options):
    return chats.shown(chats.tokenizer(family), messages, **options)


def test_qwen2_5():
    """Always a system prompt; one example, for the template only ever appends."""
    assert shown("qwen2_5", TALK[1:]) == [
        "<|im_start|>system\n"
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n[[It costs less.<|im_end|>]]\n"
    ]
    (text,) = shown("qwen2_5", TALK)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhich")


def test_qwen2_5_tools():
    (text,) = shown("qwen2_5", TOOLS, tools=[PRICE])
    before, _, after = text.rpartition("</tools>")
    assert '\n{"type": "function", "function": {"name": "price"' in before
    assert "[[" not in before
    assert after.endswith(
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n"
        '[[<tool_call>\n{"name": "price", "arguments": {"of": "Colby", "kg": 1}}\n</tool_call>'
        "<|im_end|>]]\n"
        "<|im_start|>user\n<tool_response>\n3.50\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
    )


def test_qwen3_without_thinking():
    """An empty block stands in the prompt, and only in that of the last turn."""
    assert shown("qwen3", TALK) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n[[Colby.<|im_end|>]]\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\nColby.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n[[It costs less.<|im_end|>]]\n",
    ]


def test_qwen3_thinking():
    """Trained with the answer, and gone when more follows."""
    assert shown("qwen3", TALK, thinking=True) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[<think>\nIt is cheap.\n</think>\n\nColby.<|im_end|>]]\n",
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\nColby.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n[[<think>\nAs said.\n</think>\n\nIt costs less.<|im_end|>]]\n",
    ]


def test_qwen3_thinks_between_tool_calls():
    """Reasoning since the last question stays, so this is one example."""
    call = {**CALL, "content": "Let me ask.", "reasoning": "What does it cost?"}
    (text,) = shown("qwen3", [USER, call, RESULT, ANSWER], thinking=True, tools=[PRICE])
    assert text.endswith(
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n"
        "[[<think>\nWhat does it cost?\n</think>\n\nLet me ask.\n"
        '<tool_call>\n{"name": "price", "arguments": {"of": "Colby", "kg": 1}}\n</tool_call>'
        "<|im_end|>]]\n"
        "<|im_start|>user\n<tool_response>\n3.50\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n[[<think>\nIt is cheap.\n</think>\n\nColby.<|im_end|>]]\n"
    )
    call_only, last = shown("qwen3", [USER, call, RESULT, ANSWER])
    assert "<think>\n\n</think>\n\n[[Let me ask.\n<tool_call>" in call_only
    assert "assistant\nLet me ask.\n<tool_call>" in last
    assert last.endswith("assistant\n<think>\n\n</think>\n\n[[Colby.<|im_end|>]]\n")


def test_llama3():
    assert shown("llama3_2", TALK) == [
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhich cheese?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[Colby.<|eot_id|>]]"
        "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[It costs less.<|eot_id|>]]"
    ]
    with pytest.raises(InputError, match=r"messages\[2\] has reasoning, which"):
        shown("llama3_2", TALK, thinking=True)


def test_llama3_tools():
    (text,) = shown("llama3_2", TOOLS, tools=[PRICE])
    before, question, after = text.partition("Which cheese?")
    assert '{\n    "type": "function",\n    "function": {\n        "name": "price"' in before
    assert question + after == (
        "Which cheese?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
        '[[{"name": "price", "parameters": {"of": "Colby", "kg": 1}}<|eot_id|>]]'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"3.50"<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[Colby.<|eot_id|>]]"
    )
    with pytest.raises(InputError, match=r"messages\[1\] has content, which"):
        shown("llama3_2", [USER, {**CALL, "content": "Let me ask."}, RESULT, ANSWER])


@pytest.mark.parametrize(("family", "space"), [("mistral_v3", " "), ("mistral_nemo", "")])
def test_mistral(family, space):
    assert shown(family, TALK[1:]) == [
        f"<s>[INST]{space}Which cheese?[/INST][[{space}Colby.</s>]]"
        f"[INST]{space}Why?[/INST][[{space}It costs less.</s>]]"
    ]


@pytest.mark.parametrize(("family", "space"), [("mistral_v3", " "), ("mistral_nemo", "")])
def test_mistral_sees_the_system_prompt_when_it_answers(family, space):
    """Its template drops it from the answered conversation."""
    assert shown(family, TALK) == [
        f"<s>[INST]{space}Be brief.\n\nWhich cheese?[/INST][[{space}Colby.</s>]]",
        f"<s>[INST]{space}Which cheese?[/INST]{space}Colby.</s>"
        f"[INST]{space}Be brief.\n\nWhy?[/INST][[{space}It costs less.</s>]]",
    ]


@pytest.mark.parametrize(("family", "space"), [("mistral_v3", " "), ("mistral_nemo", "")])
def test_mistral_tools(family, space):
    """They stand before the last question: with two questions, two examples."""
    offer = (
        f'[AVAILABLE_TOOLS]{space}[{{"type": "function", "function": {{"name": "price", '
        '"description": "Asks.", "parameters": {"type": "object"}}}][/AVAILABLE_TOOLS]'
    )
    call = (
        f'[TOOL_CALLS]{space}[{{"name": "price", "arguments": {{"of": "Colby", "kg": 1}}, '
        '"id": "a1B2c3D4e"}]</s>'
    )
    result = f'[TOOL_RESULTS]{space}{{"content": 3.50, "call_id": "a1B2c3D4e"}}[/TOOL_RESULTS]'
    assert shown(family, TOOLS, tools=[PRICE]) == [
        f"<s>{offer}[INST]{space}Which cheese?[/INST][[{call}]]{result}[[{space}Colby.</s>]]"
    ]
    *_, last = shown(family, [*TOOLS, WHY, REASON], tools=[PRICE])
    assert last == (
        f"<s>[INST]{space}Which cheese?[/INST]{call}{result}{space}Colby.</s>"
        f"{offer}[INST]{space}Why?[/INST][[{space}It costs less.</s>]]"
    )
    with pytest.raises(InputError, match="refuses it: Tool call IDs"):
        short = {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "id": "1"}]}
        shown(family, [USER, short, RESULT, ANSWER])


def test_smollm2_has_no_thinking_and_no_tools(smollm2):
    with pytest.raises(InputError, match=r"messages\[1\] has reasoning, which"):
        chats.shown(smollm2, [USER, ANSWER], thinking=True)
    with pytest.raises(InputError, match=r"messages\[1\] has tool_calls, which"):
        chats.shown(smollm2, TOOLS)
    with pytest.raises(InputError, match="it has tools, which"):
        chats.shown(smollm2, [USER, ANSWER], tools=[PRICE])


@pytest.mark.parametrize("family", chats.FAMILIES)
def test_what_an_answer_begins_with_is_the_same_in_training_and_asking(family):
    """Where probes are scored."""
    tokenizer = chats.tokenizer(family)
    for history in ([USER], [USER, ANSWER, WHY]):
        *_, (ids, _) = encode_conversation(tokenizer, [*history, REASON], "here:1")
        begun = encode_prompt(tokenizer, history, "here:1", begun="It")
        prompt = encode_prompt(tokenizer, history, "here:1")
        assert ids[: len(begun)] == begun and begun[: len(prompt)] == prompt
        assert decode(tokenizer, begun[len(prompt) :]).strip() == "It"


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize(
    ("family", "tools"),
    [(family, []) for family in chats.FAMILIES]
    + [(family, [PRICE]) for family in chats.FAMILIES if family != "llama3_generation"],
)
def test_the_prompt_is_the_same_in_training_and_asking(family, tools, thinking):
    """And what follows it is trained: to the end of the turn, not further."""
    tokenizer = chats.tokenizer(family)
    end = tokenizer.control[tokenizer.template_tokens["eos_token"]]
    conversation = TALK if not tools else [SYSTEM, *TOOLS, WHY, REASON]
    if thinking and not family.startswith("qwen3"):
        conversation = [{k: v for k, v in m.items() if k != "reasoning"} for m in conversation]
    options = dict(thinking=thinking, tools=tools)
    examples = encode_conversation(tokenizer, conversation, "here:1", **options)
    turns = [i for i, message in enumerate(conversation) if message["role"] == "assistant"]
    assert len(examples) in (1, len(turns))
    for number, turn in enumerate(turns):
        ids, weights = examples[number if len(examples) > 1 else 0]
        prompt = encode_prompt(tokenizer, conversation[:turn], "here:1", **options)
        stop = ids.index(end, len(prompt)) + 1
        assert ids[: len(prompt)] == prompt
        assert weights[len(prompt) : stop] == [1.0] * (stop - len(prompt))
        assert conversation[turn]["content"] in decode(tokenizer, ids[len(prompt) : stop])
        if len(examples) > 1:
            assert not any(weights[: len(prompt)])


@pytest.mark.parametrize("family", ["qwen2_5", "qwen3", "mistral_v3", "mistral_nemo"])
def test_control_tokens_in_tools_stay_text(family):
    """In names, in arguments and their names, in results, in schemas."""
    tokenizer = chats.tokenizer(family)
    typed = "".join(tokenizer.control)
    call = {"name": typed, "arguments": {typed: [typed, {"of": typed}]}}
    conversation = [
        USER,
        {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "function": call}]},
        {**RESULT, "content": typed},
        ANSWER,
    ]
    schema = {"type": "function", "function": {"name": typed, "parameters": {typed: typed}}}

    def controls(*arguments):
        *_, (ids, _) = encode_conversation(*arguments, "here:1", tools=tools)
        return [id_ for id_ in ids if id_ in tokenizer.control.values()], decode(tokenizer, ids)

    tools = [PRICE]
    expected, _ = controls(tokenizer, TOOLS)
    tools = [schema]
    found, text = controls(tokenizer, conversation)
    assert found == expected
    assert text.count(typed) == 8
