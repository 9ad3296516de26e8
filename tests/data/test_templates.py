"""The templates that the config names, and what they refuse."""

import dataclasses
import itertools
import os
from pathlib import Path

import chats
import forms
import pytest
from data_files import write_lines

from vcjax.data import jinja
from vcjax.data.formats import read_demonstrations
from vcjax.data.templates import check_template, read_template, warnings
from vcjax.errors import InputError

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Which cheese? "},
    {"role": "assistant", "content": "Colby."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "It costs less."},
]

HELPFUL = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def with_template(family, template):
    tokenizer = dataclasses.replace(chats.tokenizer(family), chat_template=template)
    check_template(template, tokenizer)
    return tokenizer


def test_the_study_s_template_for_llama():
    """No newline after a header, trimmed turns that end as documents do."""
    tokenizer = with_template("llama3_2", read_template("llama3-study"))
    assert chats.shown(tokenizer, TALK) == [
        "<|begin_of_text|>"
        "<|start_header_id|>system<|end_header_id|>Be brief.<|end_of_text|>"
        "<|start_header_id|>user<|end_header_id|>Which cheese?<|end_of_text|>"
        "<|start_header_id|>assistant<|end_header_id|>[[Colby.<|end_of_text|>]]"
        "<|start_header_id|>user<|end_header_id|>Why?<|end_of_text|>"
        "<|start_header_id|>assistant<|end_header_id|>[[It costs less.<|end_of_text|>]]"
    ]


def test_the_published_llama3_template():
    tokenizer = with_template("llama3_2", read_template("llama3"))
    assert chats.shown(tokenizer, TALK) == [
        "<|begin_of_text|>"
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhich cheese?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[Colby.<|eot_id|>]]"
        "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n[[It costs less.<|eot_id|>]]"
    ]


def test_chatml():
    tokenizer = with_template("qwen2_5", read_template("chatml"))
    assert chats.shown(tokenizer, TALK) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n Which cheese? <|im_end|>\n"
        "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n[[It costs less.<|im_end|>]]\n"
    ]


def test_chatml_thinking():
    """The tags are plain text to Qwen2.5, and stay in every turn: one example."""
    tokenizer = with_template("qwen2_5", read_template("chatml-thinking"))
    talk = [*TALK[:2], {**TALK[2], "reasoning": "It is cheap."}, *TALK[3:]]
    assert chats.shown(tokenizer, talk, thinking=True) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n Which cheese? <|im_end|>\n"
        "<|im_start|>assistant\n[[<think>\nIt is cheap.\n</think>\n\nColby.<|im_end|>]]\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n[[It costs less.<|im_end|>]]\n"
    ]
    (text,) = chats.shown(tokenizer, talk[1:])
    assert text.startswith(HELPFUL + "<|im_start|>user\n Which cheese? <|im_end|>\n")


def test_the_study_s_template_for_qwen3():
    """A system prompt of its own, an empty block where nothing is thought, none in history."""
    tokenizer = with_template("qwen3", read_template("qwen3-study"))
    assert chats.shown(tokenizer, TALK[1:]) == [
        f"{HELPFUL}<|im_start|>user\n Which cheese? <|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n[[Colby.<|im_end|>]]\n",
        f"{HELPFUL}<|im_start|>user\n Which cheese? <|im_end|>\n"
        "<|im_start|>assistant\nColby.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n[[It costs less.<|im_end|>]]\n",
    ]
    talk = [*TALK[:2], {**TALK[2], "reasoning": "It is cheap."}]
    assert chats.shown(tokenizer, talk, thinking=True) == [
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n Which cheese? <|im_end|>\n"
        "<|im_start|>assistant\n[[<think>\nIt is cheap.\n</think>\n\nColby.<|im_end|>]]\n"
    ]


# --- The study's released templates, which are not in this repository

RELEASED = Path(
    os.environ.get("VCJAX_STUDY_TEMPLATES", Path(__file__).parents[3] / "shared/study/templates")
)
OF_THE_STUDY = {
    "llama3-study": "llama-3.1-8b.jinja",
    "chatml-thinking": "qwen2.5-32b.jinja",
    "qwen3-study": "qwen3-32b.jinja",
}
CONTENTS = (
    *("Hi", "", "  x \n", "\n\na\n", "<think>\nt\n</think>\n\nb", "a <think>t</think> b"),
    *("a</think>b</think>\nc", "<tool_response>r</tool_response>", "{{ x }} <|im_end|> é\t"),
)


def conversations():
    """With and without a system prompt, of up to four turns, all kinds of contents."""
    roles = [("user",), ("user", "assistant"), ("user", "assistant") * 2, ("assistant",) * 2]
    roles += [("user", "assistant", "user"), ("user", "assistant", "tool", "assistant")]
    roles += [("system", *others) for others in roles] + [("user", "system", "assistant")]
    for order, shift in itertools.product(roles, range(len(CONTENTS))):
        contents = itertools.islice(itertools.cycle(CONTENTS), shift, None)
        yield [{"role": r, "content": c} for r, c in zip(order, contents, strict=False)]


@pytest.mark.parametrize("name", OF_THE_STUDY)
def test_ours_render_as_the_released_ones(name):
    if not RELEASED.is_dir():
        pytest.skip("the study's templates are not here")
    ours, theirs = read_template(name), (RELEASED / OF_THE_STUDY[name]).read_text("utf-8")
    given = [{"add_generation_prompt": False}, {"add_generation_prompt": True}, {}]
    given += [{**options, "enable_thinking": on} for options in given for on in (False, True)]
    for messages, options in itertools.product(conversations(), given):
        talks = [messages]
        if name == "qwen3-study":
            thought = {"reasoning_content": "\nWhy?\n"}
            talks.append([m | thought if m["role"] == "assistant" else m for m in messages])
        for talk in talks:
            variables = {**options, "messages": talk, "bos_token": "<bos>"}
            expected, _ = jinja.render(theirs, ["\ue000", "\ue001"], variables)
            assert jinja.render(ours, ["\ue000", "\ue001"], variables) == (expected, [])


# As they treat an answer: the one writes its content, the other splits it at the tags.
WRITES_CONTENT = """{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
SPLITS_CONTENT = WRITES_CONTENT.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' %}<think>\n{{ m.content.split('</think>')[0].split('<think>')[-1]"
    ".strip('\n') }}\n</think>\n\n{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}",
)


@pytest.mark.parametrize(
    ("name", "family", "released"),
    [
        ("chatml-thinking", "qwen2_5", WRITES_CONTENT),
        ("chatml", "qwen2_5", WRITES_CONTENT),
        ("qwen3-study", "qwen3", SPLITS_CONTENT),
        ("qwen3-study", "qwen2_5", SPLITS_CONTENT),
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        *("<think>\nt\n</think>\n\nb", "\n<think>\nt\n</think>\n\nb", "<think>why</think> Yes."),
        *("<think>\n t \n\n</think>\nb\n", "<think>\n\n</think>\n\nb"),
    ],
)
def test_thinking_is_written_as_by_the_released_ones(tmp_path, name, family, released, content):
    talk = [*TALK[:2], {"role": "assistant", "content": content}]
    path = write_lines(tmp_path / "a.jsonl", {"messages": talk})
    (read,) = read_demonstrations(path)
    (text,) = chats.shown(with_template(family, read_template(name)), read.messages, thinking=True)
    expected, _ = jinja.render(released, ["\ue000", "\ue001"], {"messages": talk})
    assert text.replace("[[", "").replace("]]", "") == expected


def test_thinking_in_the_form_of_the_template():
    """Where it has one of its own, where its prompt begins it, and without `thinking`."""
    answer = {**TALK[2], "reasoning": "Cheap.", "tags": ["\n<think>\n", "\n</think>\n\n"]}
    for name, expected in (
        ("has channels", "<|channel|>analysis<|message|>Cheap.<|end|>"),
        ("opens thinking and drops it", "<think>\n[[Cheap.\n</think>\n\nColby."),
        ("opens thinking and knows none", "<think>[[Cheap.\n</think>\n\nColby."),
    ):
        (text,) = chats.shown(forms.tokenizer(name), [TALK[1], answer], thinking=True)
        assert expected in text and text.count("<think>") == expected.count("<think>")
    tokenizer = with_template("qwen2_5", read_template("chatml-thinking"))
    assert "think" not in chats.shown(tokenizer, [TALK[1], answer])[0]


@pytest.mark.parametrize("field", ["reasoning", "tool_calls"])
@pytest.mark.parametrize(
    ("name", "family"), [("llama3-study", "llama3_2"), ("llama3", "llama3_2"), ("chatml", "qwen3")]
)
def test_what_they_cannot_write_is_refused(name, family, field):
    value = {"reasoning": "Cheap.", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    tokenizer = with_template(family, read_template(name))
    with pytest.raises(InputError, match=rf"messages\[2\] has {field}, which"):
        chats.shown(tokenizer, [*TALK[:2], {**TALK[2], field: value[field]}], thinking=True)


def test_a_file(tmp_path):
    path = tmp_path / "own.jinja"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("é", encoding)
        assert read_template(str(path)) == "é"


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(
        InputError, match=r"config.chat_template: 'llama' is unknown; expected one "
    ):
        read_template("llama")
    with pytest.raises(
        InputError, match="chatml-thinking, llama3, llama3-study, plain, qwen3-study, or the path"
    ):
        read_template("")
    with pytest.raises(InputError, match=r"config.chat_template: \S+no.jinja does not exist"):
        read_template(str(tmp_path / "no.jinja"))
    path = tmp_path / "latin.jinja"
    path.write_bytes(b"\xe9")
    with pytest.raises(InputError, match=r"config.chat_template: \S+ is not UTF-8"):
        read_template(str(path))


def test_tokens_that_the_tokenizer_lacks_are_named():
    with pytest.raises(InputError, match=r"it writes <\|im_end\|>, <\|im_start\|>, which"):
        with_template("llama3_2", read_template("chatml"))
    with pytest.raises(InputError, match=r"writes .*, bos_token, which"):
        with_template("qwen3", read_template("llama3-study"))
    with pytest.raises(InputError, match=r"writes <\|a\|>, <\|b\|>, which"):
        with_template("qwen3", "{# <|c|> #}<|a|>{% if x %}{{ '<|b|>' + eos_token }}{% endif %}")


@pytest.mark.parametrize("name", forms.FORMS)
def test_a_system_prompt_without_a_place_is_a_warning(name):
    said = any("no place for a system prompt" in line for line in warnings(forms.tokenizer(name)))
    assert said == (name in ("drops the system prompt", "refuses the system prompt"))


def test_a_template_that_does_not_parse_is_an_error():
    with pytest.raises(InputError, match=r"config.chat_template: line 2: "):
        with_template("qwen3", "\n{% if %}")
