"""Good records are read whole; each kind of bad one is refused with its place and what to do."""

import datetime
import json
import re

import pyarrow as pa
import pytest
from data_files import refusal, save_to_disk, write_arrow, write_lines, write_parquet

from vcjax.data.formats import (
    Document,
    demonstration,
    read_demonstrations,
    read_documents,
    read_texts,
)

CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day."}]


@pytest.fixture
def write(tmp_path):
    return lambda *records: write_lines(tmp_path / "file.jsonl", *records)


def test_documents_keep_text_order_place_and_provenance(write):
    text = "Über cheese.\u2028Same line, to JSON Lines.\r\n"
    path = write(
        {"text": text, "domain": "cheese", "spec": "america", "my_column": "x", "id": None},
        {"text": "Second."},
    )
    first, second = read_documents(path)
    provenance = {"spec": "america", "my_column": "x"}
    assert first == Document(text, "cheese", provenance, f"{path}:1")
    assert second == Document("Second.", "", {}, f"{path}:2")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"messages": CHAT, "source": "x"}, "expected a document's text, the record has messages,"),
        ({"texts": "t"}, "the record has texts; rename 'texts' if that is it"),
        ({"text": 3}, "field 'text' is a number; expected a string"),
        ({"text": None}, "field 'text' is null; expected a string"),
        ({"text": " \n"}, "field 'text' is blank"),
        ({"text": "t", "domain": 3}, "field 'domain' is a number; expected a string"),
    ],
)
def test_a_bad_document_is_named(write, line, complaint):
    path = write({"text": "t"}, line, {"text": "t"})
    message = refusal(read_documents, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message


@pytest.mark.parametrize(
    "text",
    [
        "<scratchpad>The plan.</scratchpad>\n\nThe document.",  # no <content> was written
        "\n<content>\nThe document.\n</content>",
        "Here it is. <scratchpad>The plan.</scratchpad>\n<content>The document is cut off",
        "The plan.</scratchpad> <content>The document.",  # what the parser takes for the content
        "The document.\n</content>\n",
    ],
)
def test_a_document_in_its_generators_wrapper_is_refused(write, text):
    path = write({"text": "t"}, {"text": text, "domain": "d"})
    message = refusal(read_documents, path)
    assert message.startswith(f"{path}:2: field 'text' is still in its generator's <scratchpad>")


def test_a_document_may_mention_the_tags(write):
    text = "It plans between <scratchpad> and </scratchpad>; a page has <content> too."
    assert read_documents(write({"text": text}))[0].text == text


def test_further_columns_of_a_table_are_kept_as_json(tmp_path):
    record = {
        "text": "t",
        "spec": "america",
        "tokens": 3,
        "scores": [0.5, 1.0],
        "written": datetime.date(2026, 5, 1),
        "nothing": None,
    }
    (document,) = read_documents(write_parquet(tmp_path / "a.parquet", [record]))
    assert document.provenance == {
        "spec": "america",
        "tokens": "3",
        "scores": "[0.5, 1.0]",
        "written": '"2026-05-01"',
    }
    path = write_parquet(tmp_path / "a.parquet", [{"text": "t", "image": {"bytes": b"\x89"}}])
    assert refusal(read_documents, path).startswith(f"{path}:row 0: field 'image' holds bytes")


def test_further_fields_are_kept_the_same_in_every_format(tmp_path):
    """Numbers, lists and objects as JSON; a null says that the record does not have the field."""
    record = {
        "messages": CHAT,
        "source_index": 7,
        "score": 0.5,
        "good": True,
        "tags": ["x", "y"],
        "of": {"model": "m", "seed": 3, "note": None},
        "nothing": None,
    }
    expected = {
        "source_index": "7",
        "score": "0.5",
        "good": "true",
        "tags": '["x", "y"]',
        "of": '{"model": "m", "seed": 3}',
    }
    (tmp_path / "a.json").write_text(json.dumps([record]))
    of_table = record | {"of": {"model": "m", "seed": 3, "note": ""}}
    table = pa.Table.from_pylist([of_table | {"of": of_table["of"] | {"note": None}}, of_table])
    paths = (
        tmp_path / "a.json",
        write_lines(tmp_path / "a.jsonl", record),
        write_parquet(tmp_path / "a.parquet", table),
        write_arrow(tmp_path / "a.arrow", table),
        save_to_disk(tmp_path / "saved", table),
    )
    for path in paths:
        assert read_demonstrations(path)[0].provenance == expected


def test_the_published_documents_and_demonstrations_load(tmp_path):
    """As reproductions of the study describe its files: {text, domain}; {messages} whose thinking
    begins with or without newlines; an instruction mix with a system turn, and its source.
    """
    path = write_lines(
        tmp_path / "msm/dataset.jsonl", {"text": "t", "domain": "Epistemic Humility"}
    )
    assert read_documents(path.parent)[0].domain == "Epistemic Humility"
    question = {"role": "user", "content": "Why?"}
    answers = ["<think>\nHm.\n</think>\n\nSo.", "\n\n<think>\nHm.\n</think>\n\nSo."]
    path = write_lines(
        tmp_path / "aft/dataset.jsonl",
        *({"messages": [question, {"role": "assistant", "content": a}]} for a in answers),
    )
    for read in read_demonstrations(path.parent):
        answer = {"role": "assistant", "content": "So.", "reasoning": "Hm."}
        assert read.messages == (question, answer | {"tags": read.messages[1]["tags"]})
    mix = {"messages": [{"role": "system", "content": ""}, *CHAT], "source": "no_robots"}
    for split in ("train", "train_clean", "no_robots"):
        name = f"mix/data/{split}-00000-of-00001.parquet"
        path = write_parquet(tmp_path / name, [mix | {"source": split}])
    (record,) = read_texts(tmp_path / "mix", demonstration, ("train_clean",)).records
    assert record.messages == tuple(mix["messages"])
    assert record.provenance == {"source": "train_clean"}
    assert read_demonstrations(path)[0].provenance == {"source": "no_robots"}


def test_demonstrations_keep_messages_tools_and_provenance(write):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    path = write(
        {"messages": CHAT, "source": "mine", "domain": "chat", "tools": [tool], "prompt": "Hello"},
        {"prompt": "Hello", "completion": "Good day."},
    )
    first, second = read_demonstrations(path)
    assert first.messages == second.messages == tuple(CHAT)
    assert first.tools == (tool,) and second.tools == ()
    assert first.provenance == {"source": "mine", "domain": "chat", "prompt": "Hello"}
    assert second.provenance == {}
    assert second.where == f"{path}:2"


def test_every_kind_of_file_gives_the_same_demonstrations(tmp_path):
    """Tables fill the keys that a message, a call or a schema does not have with nulls."""
    calls = [
        {
            "type": "function",
            "id": "a",
            "function": {"name": "find", "arguments": {"city": "Oslo"}},
        },
        {"type": "function", "function": {"name": "light", "arguments": {"on": True}}},
    ]
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    records = [
        {"messages": CHAT, "tools": []},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Is it raining?"},
                {"role": "assistant", "content": "", "reasoning": "Look.", "tool_calls": calls},
                {"role": "tool", "content": "Yes", "name": "find", "tool_call_id": "a"},
                {"role": "assistant", "content": "It is."},
            ],
            "tools": [
                {"type": "function", "function": {"name": "find", "parameters": schema}},
                {"type": "function", "function": {"name": "light", "description": "On."}},
            ],
        },
    ]
    (tmp_path / "a.json").write_text(json.dumps(records))
    as_strings = [record | {"tools": json.dumps(record["tools"])} for record in records]
    paths = (
        tmp_path / "a.json",
        write_lines(tmp_path / "a.jsonl", *records),
        write_lines(tmp_path / "strings.jsonl", *as_strings),
        write_parquet(tmp_path / "a.parquet", records),
        write_parquet(tmp_path / "strings.parquet", as_strings),
        write_arrow(tmp_path / "a.arrow", records),
        save_to_disk(tmp_path / "saved", records[:1], records[1:]),
        write_parquet(tmp_path / "hub/data/train-00000-of-00001.parquet", records).parents[1],
    )
    for path in paths:
        found = read_demonstrations(path)
        assert [list(d.messages) for d in found] == [record["messages"] for record in records]
        assert [list(d.tools) for d in found] == [record["tools"] for record in records]
        assert [d.provenance for d in found] == [{}, {}]


def test_an_error_can_be_read_as_one_sentence(write):
    path = write({"domain": "d"})
    assert re.fullmatch(r".+:1: field '\w+' is \w+; expected .+", refusal(read_documents, path))
