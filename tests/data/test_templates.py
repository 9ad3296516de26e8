"""The templates that the config names, and what they refuse."""

import dataclasses

import chats
import pytest

from vcjax.data.templates import check_template, read_template
from vcjax.errors import InputError

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Which cheese? "},
    {"role": "assistant", "content": "Colby."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "It costs less."},
]


def with_template(family, template):
    tokenizer = dataclasses.replace(chats.tokenizer(family), chat_template=template)
    check_template(template, tokenizer)
    return tokenizer


def test_the_study_s_template_has_no_newline_and_ends_turns_as_documents():
    tokenizer = with_template("llama3_2", read_template("llama3-study"))
    assert chats.shown(tokenizer, TALK) == [
        "<|begin_of_text|>"
        "<|start_header_id|>system<|end_header_id|>Be brief.<|end_of_text|>"
        "<|start_header_id|>user<|end_header_id|> Which cheese? <|end_of_text|>"
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
        InputError, match="chatml, chatml-thinking, llama3, llama3-study, plain, or the path"
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


def test_a_template_that_does_not_parse_is_an_error():
    with pytest.raises(InputError, match=r"config.chat_template: line 2: "):
        with_template("qwen3", "\n{% if %}")
