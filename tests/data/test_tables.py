"""The same records come out of every kind of file and folder; what is ambiguous is refused."""

import json

import peers
import pyarrow as pa
import pytest
from data_files import refusal, save_to_disk, write_arrow, write_lines, write_parquet

from vcjax.data.tables import read_records

RECORDS = [{"text": f"Text {i}."} for i in range(5)]


def read(path):
    return list(read_records(path))


def texts(path):
    return [record.fields["text"] for record in read_records(path)]


def test_every_kind_of_file_gives_the_same_records(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(RECORDS))
    places = {
        write_lines(tmp_path / "a.jsonl", *RECORDS): ":5",
        tmp_path / "a.json": ":item 4",
        write_parquet(tmp_path / "a.parquet", RECORDS): ":row 4",
        write_arrow(tmp_path / "a.arrow", RECORDS): ":row 4",
    }
    for path, place in places.items():
        assert [record.fields for record in read(path)] == RECORDS
        assert read(path)[-1].where == f"{path}{place}"
        assert read(path)[-1].is_row == ("row" in place)


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
    assert "expected a folder or a file that ends in .jsonl, .json" in refusal(read, path)


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


# --- Folders that save_to_disk wrote


def test_a_saved_data_set_is_read_shard_by_shard(tmp_path):
    folder = save_to_disk(tmp_path / "saved", RECORDS[:2], RECORDS[2:])
    write_arrow(folder / "cache-0123.arrow", [{"text": "a step of somebody's map()"}])
    assert texts(folder) == [record["text"] for record in RECORDS]
    assert read(folder)[3].where == f"{folder}/data-00001-of-00002.arrow:row 1"


def test_of_several_saved_splits_it_is_train(tmp_path):
    for split in ("train", "test"):
        save_to_disk(tmp_path / split, [{"text": split}])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts(tmp_path) == ["train"]
    assert texts(tmp_path / "test") == ["test"]


def test_saved_splits_without_train_have_to_be_named(tmp_path):
    for split in ("dpo", "sft"):
        save_to_disk(tmp_path / split, [{"text": split}])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["dpo", "sft"]}')
    expected = f"none of its splits is train; name one: {tmp_path}/dpo, {tmp_path}/sft"
    assert refusal(read, tmp_path).endswith(expected)
    assert texts(tmp_path / "sft") == ["sft"]


@pytest.mark.parametrize("shards", [1, 2])
def test_what_datasets_itself_saves(shards, tmp_path):
    """One of the two splits, its rows mixed: what `datasets` does not load from the first file."""
    peers.require("datasets")
    import datasets

    call = {"name": "price", "arguments": {"of": "Colby"}}
    records = [
        {"text": f"Text {i}.", "deep": [{"call": call} if i else {"said": "no"}]} for i in range(5)
    ]
    saved = datasets.Dataset.from_list(records).select([3, 0, 1])
    folder = tmp_path / "saved"
    datasets.DatasetDict(train=saved, test=saved.select([1])).save_to_disk(
        folder, num_shards={"train": shards, "test": 1}
    )
    assert len([*(folder / "train").glob("*.arrow")]) == shards
    assert [record.fields for record in read(folder)] == [records[i] for i in (3, 0, 1)]
    assert [record.fields for record in read(folder / "test")] == [records[0]]
    saved.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[1].fields == records[0]


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ("{", "not JSON"),
        ("{}", "lists no _data_files"),
        ("[]", "lists no _data_files"),
        ('{"_data_files": [{"filename": "../other.arrow"}]}', "'../other.arrow'; expected Arrow"),
        ('{"_data_files": [{"filename": "x.pkl"}]}', "'x.pkl'; expected Arrow"),
        ('{"_data_files": [{"filename": "absent.arrow"}]}', "absent.arrow: cannot be read"),
        ('{"_data_files": []}', "no records"),
    ],
)
def test_a_damaged_saved_data_set_is_refused(tmp_path, state, complaint):
    folder = save_to_disk(tmp_path / "saved", RECORDS)
    write_arrow(tmp_path / "other.arrow", RECORDS)
    (folder / "state.json").write_text(state)
    assert complaint in refusal(read, folder)


# --- Folders as on the hub


def test_the_train_split_of_a_hub_folder_is_read_in_order(tmp_path):
    write_parquet(tmp_path / "data/train-00001-of-00002.parquet", RECORDS[3:])
    write_parquet(tmp_path / "data/train-00000-of-00002-0a1b2c.parquet", RECORDS[:3])
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", [{"text": "held out"}])
    write_parquet(tmp_path / "data/train_clean-00000-of-00001.parquet", [{"text": "other"}])
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "script.py").write_text("raise SystemExit('it was run')")
    assert texts(tmp_path) == texts(tmp_path / "data") == [record["text"] for record in RECORDS]


@pytest.mark.parametrize(
    ("names", "read_from"),
    [
        (["dataset.jsonl"], ["dataset.jsonl"]),
        (["b.jsonl", "a.jsonl"], ["a.jsonl", "b.jsonl"]),
        (["train.jsonl", "test.jsonl", "dev.json"], ["train.jsonl"]),
        (["my_train_set.jsonl", "my-eval.jsonl"], ["my_train_set.jsonl"]),
        (["trainers.jsonl", "contest.jsonl"], ["contest.jsonl", "trainers.jsonl"]),
        (["train_sft-00000-of-00001.jsonl"], ["train_sft-00000-of-00001.jsonl"]),
        ([".a.jsonl", "a.jsonl"], ["a.jsonl"]),
    ],
)
def test_names_say_what_belongs_to_the_train_split(tmp_path, names, read_from):
    for name in names:
        write_lines(tmp_path / name, {"text": name})
    assert texts(tmp_path) == read_from


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "no data files; expected .jsonl"),
        (["sub/train.jsonl"], "no data files; expected .jsonl"),
        (["load.py"], "holds only load.py, which is never run"),
        (["test.jsonl"], "its splits are test, none is train"),
        (["test_sft-00000-of-00001.jsonl"], "its splits are test_sft, none is train"),
        (
            ["data/no_robots-00000-of-00001.jsonl", "data/mmlu-00000-of-00001.jsonl"],
            "its splits are mmlu, no_robots, none is train; name one of its files",
        ),
        (["a.jsonl", "summary.json"], "data of several kinds: a.jsonl, summary.json; name a file"),
        (["a.jsonl", "data/b.jsonl"], "data files lie in it and in its data/"),
    ],
)
def test_a_folder_that_leaves_a_choice_is_refused(tmp_path, names, complaint):
    for name in names:
        write_lines(tmp_path / name, {"text": name})
    assert complaint in refusal(read, tmp_path)
