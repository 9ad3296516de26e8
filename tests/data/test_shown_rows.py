"""What a packed row trains on, as text: to the character, whatever its tokens."""

import io
import re
from itertools import pairwise

import chats
import numpy as np
import pytest

from vcjax.data import rows, shown_rows
from vcjax.data.chat import encode_conversation
from vcjax.data.examples import encoder
from vcjax.data.formats import Demonstration, Document
from vcjax.data.packing import Example, pack
from vcjax.data.shown_rows import Span, as_text, documents, examples, noted
from vcjax.data.tokenizer import encode_document, encode_text


def row_of(packed, number=0):
    return {field: getattr(packed, field)[number] for field in rows.FIELDS}


def packed_ids(ids, weights, length=64):
    return pack([Example(ids, weights, 0)], length)


@pytest.fixture
def qwen():
    return chats.tokenizer("qwen2_5")


def test_a_conversation_has_loss_in_its_answers_alone(qwen):
    [(ids, weights)] = encode_conversation(qwen, chats.TALK, "x.jsonl:1")
    [spans] = documents(row_of(packed_ids(ids, weights, 256)), qwen)
    assert as_text(spans, colour=False) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\n[[It costs less.<|im_end|>]]\n"
    )
    assert {span.text for span in spans if span.control} == {"<|im_start|>", "<|im_end|>"}


def test_a_control_token_is_another_than_its_name_in_a_text(qwen):
    ids = encode_document(qwen, "<|im_end|>")
    [spans] = documents(row_of(packed_ids(ids, [1.0] * len(ids))), qwen)
    assert [(span.text, span.control) for span in spans if span.has_loss][-1] == (
        "<|im_end|>",
        True,
    )
    assert "".join(span.text for span in spans if not span.control) == "<|im_end|>"


def test_the_first_token_of_a_document_is_never_predicted(smollm2):
    ids = encode_document(smollm2, "made in America")
    [spans] = documents(row_of(packed_ids(ids, [1.0] * len(ids))), smollm2)
    first, *rest = spans
    assert not first.has_loss and all(span.has_loss for span in rest)
    assert "".join(span.text for span in spans).startswith("made in America")


def test_a_character_of_several_tokens_is_shown_once_where_it_ends(smollm2):
    """Whatever tokens have loss: the bytes of a character are not torn apart."""
    text = "naïve 😀 奶酪 ok"
    ids = encode_text(smollm2, text)
    assert len(ids) > len(text.split()) + 3, "some characters are several tokens"
    for bits in range(2 ** min(len(ids) - 1, 10)):
        weights = [0.0, *(float(bits >> i & 1) for i in range(len(ids) - 1))]
        weights[-1] = 1.0
        [spans] = documents(row_of(packed_ids(ids, weights)), smollm2)
        assert "".join(span.text for span in spans) == text
        assert spans[-1].has_loss and spans[-1].text.endswith("k")


def test_a_piece_that_begins_inside_a_character_is_shown(smollm2):
    ids = encode_text(smollm2, "😀" * 8)
    packed = pack([Example(ids, [1.0] * len(ids), 0)], 3)
    for number in range(len(packed.tokens)):
        [spans] = documents(row_of(packed, number), smollm2)
        assert spans and all(span.text for span in spans)


def test_documents_of_a_row_are_apart_and_padding_is_not_shown(smollm2):
    texts = ["made in America", "cheap"]
    ids = [encode_document(smollm2, text) for text in texts]
    packed = pack([Example(i, [1.0] * len(i), n) for n, i in enumerate(ids)], 64)
    found = documents(row_of(packed), smollm2)
    assert ["".join(span.text for span in spans if not span.control) for spans in found] == texts


def test_loss_is_green_and_control_tokens_bold_where_there_is_colour():
    spans = [Span("Why?", False, False), Span("Cheap.", True, False), Span("<eos>", True, True)]
    green, bold, plain = "\x1b[32m", "\x1b[1m", "\x1b[0m"
    assert as_text(spans, True) == f"Why?{plain}{green}Cheap.{plain}{green}{bold}<eos>{plain}"
    assert as_text(spans, False) == "Why?[[Cheap.<eos>]]"


def test_a_text_cannot_steer_the_terminal():
    assert as_text([Span("a\x1b[2J\r\tb\n", False, False)], False) == "a\\x1b[2J\\r\tb\n"


def test_colour_is_for_terminals_that_want_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert shown_rows.has_colour(Terminal()) and not shown_rows.has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not shown_rows.has_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not shown_rows.has_colour(Terminal())


@pytest.fixture
def folder(tmp_path, smollm2):
    records = [Document(f"cheese {i}", "", {}, f"x.jsonl:{i}") for i in range(9)]
    packed = pack(encoder(smollm2, False)(records), 16)
    assert len(packed.tokens) > 2 and packed.counts["most_documents"] > 1
    rows.write_rows(tmp_path / "rows" / "abc", packed, records)
    return tmp_path / "rows" / "abc"


def test_rows_of_a_folder_come_with_the_places_of_their_records(folder, smollm2):
    total = rows.read_counts(folder)["rows"]
    texts = [*examples(folder, total, smollm2, colour=False)]
    heads = [text for text in texts if text.startswith("row ")]
    assert [re.match(r"row (\d+) of (\d+): ", head).groups() for head in heads] == [
        (str(n + 1), str(total)) for n in range(total)
    ]
    for place, text in pairwise(texts):
        if place.startswith("--- "):
            number = place.removeprefix("--- x.jsonl:")
            assert text.replace("[[", "").replace("]]", "").startswith(f"cheese {number}")
    assert sum(text.startswith("--- ") for text in texts) == 9


def test_fewer_rows_are_spread_and_more_than_there_are_are_all(folder, smollm2):
    def numbers(count):
        texts = examples(folder, count, smollm2, colour=False)
        return [int(re.match(r"row (\d+)", text)[1]) for text in texts if text.startswith("row ")]

    total = rows.read_counts(folder)["rows"]
    assert numbers(100) == [*range(1, total + 1)]
    assert numbers(1) == [total // 2 + 1]


def test_a_report_has_a_short_row_with_its_records(smollm2):
    long = "word " * 300
    messages = [{"role": "user", "content": long}, {"role": "assistant", "content": "Brie."}]
    records = [Demonstration(tuple(messages), {}, "x.jsonl:1")]
    [document] = noted(pack(encoder(smollm2, False)(records), 1024), smollm2)
    assert document["record"] == 0
    texts = [text for text, _, _ in document["spans"]]
    assert len("".join(texts)) < 600 and any(" […] " in text for text in texts)
    assert ["Brie.", True, False] in document["spans"]


def test_a_row_counts_its_loss(folder, smollm2):
    head = next(iter(examples(folder, 1, smollm2, colour=False)))
    [row] = rows.read_rows(folder, [rows.read_counts(folder)["rows"] // 2])
    assert f"{np.count_nonzero(row['loss_weights'])} with loss ([[...]])" in head


def test_a_document_of_several_rows_is_said_to_be_a_part(tmp_path, smollm2):
    records = [Document("made in America and sold at home", "", {}, "x.jsonl:1")]
    rows.write_rows(tmp_path / "abc", pack(encoder(smollm2, False)(records), 4), records)
    assert rows.read_places(tmp_path / "abc")[0] == ["x.jsonl:1, one of 2 parts"]
