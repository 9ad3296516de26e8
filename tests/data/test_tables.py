"""The same records come out of every kind of file; values without an equivalent are refused."""

import json

import pyarrow as pa
import pytest
from data_files import refusal, write_arrow, write_lines, write_parquet

from vcjax.data.tables import read_records

RECORDS = [{"text": f"Text {i}."} for i in range(5)]


def read(path):
    return list(read_records(path))


def test_every_kind_of_file_gives_the_same_records(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(RECORDS))
    places = {
        write_lines(tmp_path / "a.jsonl", *RECORDS): ":5",
        tmp_path / "a.json": ":item 4",
        write_parquet(tmp_path / "a.parquet", RECORDS): ":row 4",
        write_arrow(tmp_path / "a.arrow", RECORDS): ":row 4",
        write_lines(tmp_path / "a.ndjson", *RECORDS): ":5",
        write_lines(tmp_path / "b.JSONL", *RECORDS): ":5",
        write_parquet(tmp_path / "b.PARQUET", RECORDS): ":row 4",
    }
    for path, place in places.items():
        assert [record.fields for record in read(path)] == RECORDS
        assert read(path)[-1].where == f"{path}{place}"


def test_rows_count_on_from_batch_to_batch(tmp_path):
    records = [{"text": str(i)} for i in range(2500)]
    for path in (
        write_parquet(tmp_path / "a.parquet", records),
        write_arrow(tmp_path / "a.arrow", records),
    ):
        found = read(path)
        assert [record.fields for record in found] == records
        assert [record.where for record in found] == [f"{path}:row {i}" for i in range(2500)]


def test_a_null_is_a_field_that_the_row_does_not_have(tmp_path):
    """A struct has the keys of all rows; each gets back its own. Items of lists stay."""
    path = write_parquet(
        tmp_path / "a.parquet",
        [
            {"a": {"x": 1, "deep": [{"y": "y"}]}, "b": None},
            {"a": {"z": None, "deep": [{"w": {"v": 2.5}}, None]}, "b": ["s", None]},
            {"a": None, "b": None},
        ],
    )
    assert [record.fields for record in read(path)] == [
        {"a": {"x": 1, "deep": [{"y": "y"}]}},
        {"a": {"deep": [{"w": {"v": 2.5}}, None]}, "b": ["s", None]},
        {},
    ]


@pytest.mark.parametrize("write", [write_parquet, write_arrow])
def test_columns_of_json_are_decoded(tmp_path, write):
    """How `datasets` keeps rows of mixed types since 4.7; its nulls are the author's own."""

    def table(*values):
        calls = pa.StructArray.from_arrays([pa.array(values, pa.json_())], ["arguments"])
        return pa.table({"calls": pa.ListArray.from_arrays(range(len(values) + 1), calls)})

    path = tmp_path / f"a.{write.__name__.removeprefix('write_')}"
    write(path, table('{"on": true, "off": null}', '["Oslo"]', None))
    assert [record.fields for record in read(path)] == [
        {"calls": [{"arguments": {"on": True, "off": None}}]},
        {"calls": [{"arguments": ["Oslo"]}]},
        {"calls": [{}]},
    ]
    write(path, table("1", '{"a": 1, "a": 2}'))
    assert refusal(read, path) == f"{path}:row 1: field 'a' occurs twice; expected each field once"


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"")
    assert "expected a folder or a file that ends in .jsonl, .ndjson" in refusal(read, path)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.jsonl"])
def test_a_missing_file_is_refused(tmp_path, name):
    message = refusal(read, tmp_path / name)
    assert message.startswith(str(tmp_path / name)) and "No such file" in message


@pytest.mark.parametrize(
    ("write", "kind"), [(write_parquet, "Parquet"), (write_arrow, "an Arrow stream")]
)
def test_a_broken_or_empty_table_is_refused(tmp_path, write, kind):
    path = write(tmp_path / f"a.{write.__name__.removeprefix('write_')}", RECORDS)
    path.write_bytes(path.read_bytes()[:100])
    assert refusal(read, path).startswith(f"{path}: cannot be read as {kind} (")
    write(path, pa.table({"text": pa.array([], pa.string())}))
    assert refusal(read, path) == f"{path}: no records; expected at least one"


def test_columns_of_one_name_are_refused(tmp_path):
    path = write_arrow(tmp_path / "a.arrow", pa.table([["a"], ["b"]], names=["text", "text"]))
    assert "two columns have the same name" in refusal(read, path)


UNION = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array("ab")])
TWICE = pa.StructArray.from_arrays([pa.array([1, 2])] * 2, ["a", "a"])


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (pa.array([0, 10**7], pa.date32()), ":row 1: column 'x' has a value that cannot be read ("),
        (pa.array([2**62, 0], pa.timestamp("us")), ":row 0: column 'x' has a value that cannot"),
        (pa.array([0, 2**62], pa.duration("s")), ":row 1: column 'x' has a value that cannot be"),
        (
            pa.array([{"a": [0]}, {"a": [0, 10**7]}], pa.struct({"a": pa.list_(pa.date32())})),
            ":row 1: column 'x' has a value that cannot be read (",
        ),
        (
            pa.array([b"a", b"\xed\xa0\x80"]).view(pa.string()),  # a lone surrogate
            ":row 1: column 'x' has a value that cannot be read ('utf-8'",
        ),
        (UNION, ": column 'x' is a union of types"),
        (pa.StructArray.from_arrays([UNION], ["deep"]), ": column 'x.deep' is a union of types"),
        (TWICE, ": column 'x': two fields have the same name, 'a'"),
        (
            pa.ListArray.from_arrays([0, 1, 2], TWICE),
            ": column 'x.item': two fields have the same name, 'a'",
        ),
    ],
)
def test_what_python_cannot_hold_is_refused_with_its_column(tmp_path, column, complaint):
    path = write_arrow(tmp_path / "a.arrow", pa.table({"text": ["t", "u"], "x": column}))
    assert refusal(read, path).startswith(f"{path}{complaint}")


def test_the_row_is_counted_over_batches(tmp_path):
    dates = pa.array([*[0] * 2100, 10**7, 0], pa.date32())
    path = write_parquet(tmp_path / "a.parquet", pa.table({"date": dates}))
    assert refusal(read, path).startswith(f"{path}:row 2100: column 'date'")
