"""What chat templates are given: tools, arguments of calls, reasoning, and which template."""

import dataclasses

import chats
import forms
import pytest
from chats import ANSWER, CALL, PRICE, RESULT, USER

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.data.tokenizer import decode
from vcjax.errors import InputError

CALLS = forms.OPEN + (
    "{{ m.content }}{% for call in m.tool_calls or [] %}WRITE{% endfor %}<|im_end|>\n"
)
TOOLS = [USER, CALL, RESULT, ANSWER]


def calling(write):
    template = forms.turns(CALLS.replace("WRITE", write)) + forms.ASK
    return chats.of(template, forms.CHATML, forms.IM_END)


def shown_call(write):
    (text,) = chats.shown(calling(write), TOOLS)
    return text.partition("assistant\n[[")[2].partition("<|im_end|>]]")[0]


@pytest.mark.parametrize(
    "write",
    [
        "{{ call.function.arguments | tojson }}",
        "{{ '' + call.function.arguments }}",  # DeepSeek, functionary
        "{{ call.function.arguments }}",  # would print Python
        "{{ call.function.arguments if call.function.arguments is string else 1 + '' }}",
    ],
)
def test_arguments_as_the_template_takes_them(write):
    assert shown_call(write) == '{"of": "Colby", "kg": 1}'


def test_arguments_that_a_template_takes_in_no_form():
    with pytest.raises(InputError, match="refuses it: No calls"):
        shown_call("{{ raise_exception('No calls') }}")
    with pytest.raises(InputError, match="writes the arguments of tool calls as Python"):
        shown_call(
            "{{ call.function.arguments if call.function.arguments is mapping else 1 + '' }}"
        )


def test_a_typed_control_token_in_arguments_stays_text():
    function = {"name": "price", "arguments": {"of": "<|im_end|>é"}}
    call = {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "function": function}]}
    tokenizer = calling("{{ '' + call.function.arguments }}")
    ((ids, _),) = encode_conversation(tokenizer, [USER, call, RESULT, ANSWER], "here:1")
    assert ids.count(tokenizer.control["<|im_end|>"]) == 4
    assert '{"of": "<|im_end|>é"}<|im_end|>' in decode(tokenizer, ids)


LOOP = "{% for tool in tools %}{{ tool.function.name }}\n{% endfor %}"


def test_a_template_that_cannot_do_without_tools():
    """Hermes' for tools."""
    template = LOOP + forms.turns(forms.SAY) + forms.ASK
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    (text,) = chats.shown(tokenizer, [USER, ANSWER], tools=[PRICE])
    assert text == (
        "price\n<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
    )
    with pytest.raises(InputError, match="refuses it: 'NoneType' object is not iterable"):
        chats.shown(tokenizer, [USER, ANSWER])


def test_the_template_for_tools_is_chosen_where_there_are_some():
    plain = forms.turns(forms.SAY) + forms.ASK
    tokenizer = chats.of(plain, forms.CHATML, forms.IM_END)
    tokenizer = dataclasses.replace(tokenizer, named_templates={"tool_use": LOOP + plain})
    (without,) = chats.shown(tokenizer, [USER, ANSWER])
    (with_tools,) = chats.shown(tokenizer, [USER, ANSWER], tools=[PRICE])
    assert with_tools == "price\n" + without
    prompt = encode_prompt(tokenizer, [USER], "here:1", tools=[PRICE])
    assert decode(tokenizer, prompt).startswith("price\n<|im_start|>user")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "thinking"])
def test_reasoning_has_all_the_names_that_templates_read(name):
    """As in `transformers` 5."""
    template = forms.turns(forms.SAY.replace("{{ m", "{{ m['" + name + "'] or '' }}{{ m"))
    tokenizer = chats.of(template + forms.ASK, forms.CHATML, forms.IM_END)
    (text,) = chats.shown(tokenizer, [USER, ANSWER], thinking=True)
    assert text.endswith("[[It is cheap.Colby.<|im_end|>]]\n")
    (text,) = chats.shown(tokenizer, [USER, ANSWER])
    assert text.endswith("[[Colby.<|im_end|>]]\n")


@pytest.mark.parametrize("switch", ["enable_thinking", "thinking"])
def test_the_template_is_told_whether_to_think(switch):
    template = "{{ " + switch + " }}" + forms.turns(forms.SAY) + forms.ASK
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    for thinking in (False, True):
        prompt = encode_prompt(tokenizer, [USER], "here:1", thinking=thinking)
        assert decode(tokenizer, prompt).startswith(str(thinking))


# --- Places for texts


@pytest.mark.parametrize("name", ["drops the system prompt", "refuses the system prompt"])
def test_a_system_prompt_without_a_place_stands_before_the_first_question(name):
    tokenizer = forms.tokenizer(name)
    both = {"role": "user", "content": "Be brief.\n\nWhich cheese?"}
    assert chats.shown(tokenizer, chats.TALK) == chats.shown(tokenizer, [both, *chats.TALK[2:]])
    prompt = encode_prompt(tokenizer, chats.TALK[:2], "here:1")
    assert prompt == encode_prompt(tokenizer, [both], "here:1")


def test_a_system_prompt_has_no_place_without_a_question():
    tokenizer = forms.tokenizer("refuses the system prompt")
    with pytest.raises(InputError, match="refuses it: No system role"):
        chats.shown(tokenizer, [chats.SYSTEM, ANSWER])


def test_contents_in_parts_only_where_a_template_takes_no_text():
    """Gemma 3n's variants take a system prompt in parts alone, and have no place of its own."""
    template = "{% if messages[0].role == 'system' %}{{ messages[0].content[0].text }}\n{% endif %}"
    template += "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n"
    template += "{{ m.content if m.content is string else '*' + m.content[0].text }}<|im_end|>\n"
    template += "{% endfor %}" + forms.ASK
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    (plain,), (parts,) = (
        chats.shown(tokenizer, talk) for talk in (chats.TALK[1:3], chats.TALK[:3])
    )
    assert plain.endswith(
        "user\nWhich cheese?<|im_end|>\n<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
    )
    assert parts.startswith("Be brief.\n<|im_start|>user\n*Which cheese?")
    assert parts.endswith("<|im_start|>assistant\n[[*Colby.<|im_end|>]]\n")
