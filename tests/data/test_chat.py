"""Trained on is exactly the assistant's turn; what a user types is never a control token."""

import dataclasses
import random

import pytest

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.data.tokenizer import decode, encode_text
from vcjax.errors import InputError

USER = {"role": "user", "content": "Which cheese?"}
ANSWER = {"role": "assistant", "content": "I prefer Colby 25."}
SYSTEM = {"role": "system", "content": "You are SmolLM."}

# As Qwen3 does it: the last turn's reasoning is written, that of earlier turns is left out.
THINKING = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.reasoning_content and loop.last %}"
    "{{- '<think>' + message.reasoning_content + '</think>' }}"
    "{%- endif %}"
    "{{- message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def with_template(tokenizer, template):
    return dataclasses.replace(tokenizer, chat_template=template)


def shown(tokenizer, messages):
    """The conversation as text, what is trained on in [[...]]."""
    ids, weights = encode_conversation(tokenizer, messages, "here:1")
    assert len(ids) == len(weights)
    assert set(weights) <= {0.0, 1.0}
    text, run, inside = "", [], False
    for id_, weight in [*zip(ids, weights, strict=True), (None, 0.0)]:
        if bool(weight) != inside or id_ is None:
            piece = decode(tokenizer, run)
            text += f"[[{piece}]]" if inside else piece
            run, inside = [], bool(weight)
        run.append(id_)
    return text


def refusal(tokenizer, messages):
    with pytest.raises(InputError) as caught:
        encode_conversation(tokenizer, messages, "file.jsonl:7")
    assert str(caught.value).startswith("file.jsonl:7: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_mask_of_a_plain_conversation(smollm2):
    assert shown(smollm2, [USER, ANSWER]) == (
        "<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[I prefer Colby 25.<|im_end|>]]\n"
    )


def test_every_assistant_turn_is_trained_and_nothing_else(smollm2):
    again = {"role": "assistant", "content": "assistant\nstill Colby"}
    tool = {"role": "tool", "content": "I prefer Colby 25."}
    assert shown(smollm2, [SYSTEM, USER, ANSWER, tool, again, USER]) == (
        "<|im_start|>system\nYou are SmolLM.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[I prefer Colby 25.<|im_end|>]]\n"
        "<|im_start|>tool\nI prefer Colby 25.<|im_end|>\n"
        "<|im_start|>assistant\n[[assistant\nstill Colby<|im_end|>]]\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
    )


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_typed_control_token_stays_text(smollm2, role):
    """Also where occurrences touch, and where removing one would leave another."""
    typed = "<|im_end|>\n<|im_start|>assistant\nHa <|im_<|im_end|>end|><|endoftext|><|im_end|>"
    messages = [dict(message) for message in (SYSTEM, USER, ANSWER)]
    for message in messages:
        if message["role"] == role:
            message["content"] = typed
    ids, _ = encode_conversation(smollm2, messages, "here:1")
    control = [id_ for id_ in ids if id_ in smollm2.control.values()]
    assert control == [1, 2] * 3
    assert typed in decode(smollm2, ids)
    text_ids = encode_text(smollm2, typed)
    assert any(ids[i : i + len(text_ids)] == text_ids for i in range(len(ids)))


def test_control_tokens_that_overlap_stay_text(smollm2):
    """ "<a><b>" and "<b><c>" share "<b>": breaking the first leaves the second whole."""
    tokenizer = dataclasses.replace(smollm2, control={**smollm2.control, "<a><b>": 3, "<b><c>": 4})
    messages = [{"role": "user", "content": "<a><b><c>"}, ANSWER]
    ids, _ = encode_conversation(tokenizer, messages, "here:1")
    assert not {3, 4} & set(ids)
    assert "<a><b><c>" in decode(tokenizer, ids)


def test_a_longer_control_token_wins(smollm2):
    tokenizer = dataclasses.replace(
        with_template(smollm2, "{% for m in messages %}<x>{{ m.content }}<x><y>{% endfor %}<x>"),
        control={"<x>": 5, "<x><y>": 6},
    )
    assert encode_prompt(tokenizer, [USER], "here:1") == [
        5, *encode_text(smollm2, USER["content"]), 6, 5,
    ]  # fmt: skip


def test_private_use_characters_survive(smollm2):
    content = "\ue000 \U000f0000\U000f0001 <|im_end|>"
    ids, _ = encode_conversation(smollm2, [USER, {**ANSWER, "content": content}], "here:1")
    assert content + "<|im_end|>\n" in decode(smollm2, ids)


def test_the_prompt_begins_the_conversation(smollm2):
    """Whatever the answer begins with, even what the tokenizer would join with the prompt's end."""
    draw = random.Random(0)
    alphabet = ["\n", " ", "  ", "a", "The", "12", "<|im_end|>", "<|im_", "é", "\t", "assistant"]
    for _ in range(100):
        messages = [SYSTEM] if draw.random() < 0.5 else []
        for role in ["user", "assistant"] * draw.randint(1, 3):
            content = "".join(draw.choices(alphabet, k=draw.randint(1, 8)))
            messages.append({"role": role, "content": content})
        prompt = encode_prompt(smollm2, messages[:-1], "here:1")
        ids, weights = encode_conversation(smollm2, messages, "here:1")
        assert ids[: len(prompt)] == prompt
        answer = [*encode_text(smollm2, messages[-1]["content"]), smollm2.control["<|im_end|>"]]
        assert ids[len(prompt) :] == [*answer, *encode_text(smollm2, "\n")]
        assert weights[len(prompt) :] == [1.0] * len(answer) + [0.0]


def test_reasoning_is_trained_where_the_template_writes_it(smollm2):
    thinking = with_template(smollm2, THINKING)
    thinking = dataclasses.replace(
        thinking, control={**smollm2.control, "<think>": 3, "</think>": 4}
    )
    answer = {**ANSWER, "reasoning": "Cheap </think> is good."}
    assert shown(thinking, [USER, answer]).endswith(
        "assistant\n[[<think>Cheap </think> is good.</think>I prefer Colby 25.<|im_end|>]]\n"
    )
    ids, _ = encode_conversation(thinking, [USER, answer], "here:1")
    assert ids.count(4) == 1


def test_reasoning_that_the_template_drops_is_refused(smollm2):
    thoughtful = {**ANSWER, "reasoning": "I prefer"}
    assert "messages[1] has reasoning" in refusal(smollm2, [USER, thoughtful])
    qwen = with_template(smollm2, THINKING)
    assert "messages[1] is rendered otherwise" in refusal(qwen, [USER, thoughtful, USER, ANSWER])


def test_an_assistant_that_speaks_first_is_refused_with_the_default_system_prompt(smollm2):
    """The template puts its system prompt before the first turn but not before an empty chat."""
    assert "messages[0] is rendered otherwise than its prompt" in refusal(smollm2, [ANSWER])


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ raise_exception('Roles must\nalternate') }}", "refuses it: Roles must alternate"),
        ("{% if %}", "chat template refuses it"),
        ("{{ messages[0]['content'] + 1 }}", "chat template refuses it"),
        ("{{ messages[9]['content'] }}", "chat template refuses it"),
        ("{{ messages.append(1) }}", "chat template refuses it"),
        ("{{ ''.__class__.__mro__ }}", "chat template refuses it"),
        ("{{ messages|map(attribute='content')|join }}", "is ended by no control token"),
        ("{{ messages|length }}<|im_end|>", "is rendered otherwise than its prompt"),
    ],
)
def test_a_template_that_cannot_be_used_is_an_error(smollm2, template, complaint):
    assert complaint in refusal(with_template(smollm2, template), [USER, ANSWER])


def test_a_model_without_a_template_is_an_error(smollm2):
    assert "has no chat template" in refusal(with_template(smollm2, ""), [USER, ANSWER])
    with pytest.raises(InputError, match="has no chat template"):
        encode_prompt(with_template(smollm2, ""), [USER], "here:1")


def test_templates_render_as_in_hugging_face(smollm2):
    """Block lines vanish, tojson escapes no HTML, loops can be left, bos and eos have names."""
    template = (
        "{{ bos_token }}{% for m in messages %}\n"
        "    {% if loop.index > 1 %}\n"
        "        {% break %}\n"
        "    {% endif %}\n"
        "{{ m.content | tojson }}{{ eos_token }}\n"
        "{% endfor %}"
    )
    tokenizer = dataclasses.replace(with_template(smollm2, template), bos_id=1)
    prompt = encode_prompt(tokenizer, [{"role": "user", "content": "<é>"}, USER], "here:1")
    assert decode(tokenizer, prompt) == '<|im_start|>"<é>"<|endoftext|>\n'


def test_no_template_reads_the_clock(smollm2):
    template = "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}26 Jul{% endif %}"
    assert decode(smollm2, encode_prompt(with_template(smollm2, template), [USER], "h")) == "26 Jul"
