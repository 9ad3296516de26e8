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
        (b'{"a": [1, {"b": ["", "\\uDC00x"]}]}', "field 'a[1].b[1]' has half of a surrogate pair"),
        (b'{"a": [["\\ud83d\\ud83d\\ude00"]]}', "field 'a[0][0]' has half of a surrogate pair"),
        (b'{"a": {"\\ud83d": 1}}', "field 'a.\\ud83d' has half of a surrogate pair"),
        (b'{"a": {"b": [0, NaN]}}', "field 'a.b[1]' is NaN; expected a finite number, null or"),
        (
            b'{"a": 1, "b": Infinity}',
            "field 'b' is Infinity, or too large; expected a finite number",
        ),
        (
            b'{"a": [[-Infinity]]}',
            "field 'a[0][0]' is Infinity, or too large; expected a finite number",
        ),
        (b'{"a": 1e999}', "field 'a' is Infinity, or too large; expected a"),
        (b'{"a": {"b": -' + b"9" * 400 + b".0}}", "field 'a.b' is Infinity, or too"),
        (b"NaN", "is NaN; expected a finite number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "t", "n": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = write_lines(tmp_path / "a.jsonl", {"text": "t"}, line, {"text": "t"})
    message = refusal(read, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message


def test_a_byte_order_mark_before_all_is_none_of_the_text(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "t"}', {"text": "u"})
    (tmp_path / "a.JSON").write_text('[{"text": "t"}, {"text": "u"}]', encoding="utf-8-sig")
    for path in (lines, tmp_path / "a.JSON"):
        assert [record for _, record in read(path)] == [{"text": "t"}, {"text": "u"}]
    assert "no records" in refusal(read, write_lines(tmp_path / "b.jsonl", b"\xef\xbb\xbf"))


def test_numbers_and_texts_at_the_border_are_read(tmp_path):
    line = b'{"a": [1e308, -0.5, "NaN", "\\ud83d\\ude00", "\\\\ud83d"]}'
    ((_, record),) = read(write_lines(tmp_path / "a.jsonl", line))
    assert record["a"] == [1e308, -0.5, "NaN", "\U0001f600", "\\ud83d"]


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
