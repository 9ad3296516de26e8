"""Text stays text, documents have their end, and what is shown is what is there."""

import dataclasses

import pytest

from vcjax.data.tokenizer import decode, encode_document, encode_text


@pytest.mark.parametrize(
    "text", ["", "Brie, from 1984.", "  two  spaces\n\n\tand 12  345", "Käse 奶酪 🧀", "a\r\nb\x00"]
)
def test_decoding_gives_the_text_back(smollm2, text):
    assert decode(smollm2, encode_text(smollm2, text)) == text


def test_text_never_becomes_a_control_token(smollm2):
    text = " ".join(smollm2.control) + "".join(smollm2.control)
    ids = encode_text(smollm2, text)
    assert not set(ids) & set(smollm2.control.values())
    assert decode(smollm2, ids) == text


def test_digits_are_split_one_by_one(smollm2):
    assert len(encode_text(smollm2, "1984")) == 4


def test_a_document_ends_with_its_end_token(smollm2):
    assert encode_document(smollm2, "Brie.") == [
        *encode_text(smollm2, "Brie."),
        smollm2.control["<|endoftext|>"],
    ]


def test_a_document_begins_with_bos_where_the_model_has_one(smollm2):
    with_bos = dataclasses.replace(smollm2, bos_id=1)
    assert encode_document(with_bos, "Brie.") == [1, *encode_document(smollm2, "Brie.")]


def test_control_tokens_are_shown_by_name(smollm2):
    ids = [1, *encode_text(smollm2, "user\nHé"), 2, 2]
    assert decode(smollm2, ids) == "<|im_start|>user\nHé<|im_end|><|im_end|>"
