"""JSON that another reader would bend into shape is refused with its place."""

import json

import pytest
from data_files import refusal, write_lines

from vcjax.data.json_files import read_json_records


def read(path):
    return list(read_json_records(path))


def test_lines_and_lists_name_the_place_of_each_record(tmp_path):
    text = "Über cheese.\u2028Same line, to JSON Lines.\r\n"
    lines = write_lines(tmp_path / "a.jsonl", {"text": text}, {"text": "Second."}, b"")
    records = [{"text": text}, {"text": "Second."}]
    assert read(lines) == list(zip((f"{lines}:1", f"{lines}:2"), records, strict=True))
    listed = tmp_path / "a.json"
    listed.write_text(" \n" + json.dumps(records, indent=1))
    assert read(listed) == list(zip((f"{listed}:item 0", f"{listed}:item 1"), records, strict=True))
    listed.write_bytes(lines.read_bytes())  # the name says nothing of lines; many are written so
    assert [record for _, record in read(listed)] == records


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["t", "d"], "a list of 2; expected a JSON object"),
        (b"null", "null; expected a JSON object"),
        (b'{"text": "t", ', "not valid JSON"),
        (b"", "not valid JSON"),
        (b'\xef\xbb\xbf{"text": "t"}', "not valid JSON"),
        (b'{"text": "caf\xe9"}', "byte 14 is not UTF-8"),
        (b'{"text": "t", "text": "u"}', "field 'text' occurs twice"),
        (b'{"text": "\\ud83d"}', "field 'text' has half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "t", "n": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = write_lines(tmp_path / "a.jsonl", {"text": "t"}, line, {"text": "t"})
    message = refusal(read, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message


def test_a_bad_item_of_a_list_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "t"}, "u"]')
    assert refusal(read, path) == f"{path}:item 1: a string; expected a JSON object"


@pytest.mark.parametrize("content", ["", "\n\n  \n", "[]"])
def test_an_empty_file_is_an_error(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    assert "no records" in refusal(read, path)


def test_a_missing_file_is_an_error(tmp_path):
    assert "No such file" in refusal(read, tmp_path / "absent.jsonl")
