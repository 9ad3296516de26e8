"""Of a folder the right files are read; where some are missing or unclear, it is refused."""

import errno
import os

import peers
import pytest
from data_files import refusal, save_to_disk, write_arrow, write_lines, write_parquet

from vcjax.data.folders import left_out
from vcjax.data.tables import read_records

RECORDS = [{"text": f"Text {i}."} for i in range(5)]


def read(path):
    return list(read_records(path))


def texts(path):
    return [record.fields["text"] for record in read_records(path)]


def write(folder, *names):
    """A file of one record for each name, whatever the name ends in."""
    for name in names:
        write_lines(folder / name, {"text": name})


# --- Folders that save_to_disk wrote


def test_a_saved_data_set_is_read_shard_by_shard(tmp_path):
    folder = save_to_disk(tmp_path / "saved", RECORDS[:2], RECORDS[2:])
    write_arrow(folder / "cache-0123.arrow", [{"text": "a step of somebody's map()"}])
    assert texts(folder) == [record["text"] for record in RECORDS]
    assert left_out(folder) == ["cache-0123.arrow"]
    assert read(folder)[3].where == f"{folder}/data-00001-of-00002.arrow:row 1"


def test_shards_of_an_earlier_save_are_named(tmp_path):
    folder = save_to_disk(tmp_path / "saved", RECORDS)
    write_arrow(folder / "data-00001-of-00002.arrow", RECORDS[:2])
    assert texts(folder) == [record["text"] for record in RECORDS]
    assert left_out(folder) == ["data-00001-of-00002.arrow"]


def test_of_several_saved_splits_it_is_train(tmp_path):
    for split in ("train", "test"):
        save_to_disk(tmp_path / split, [{"text": split}])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts(tmp_path) == ["train"]
    assert left_out(tmp_path) == ["test/data-00000-of-00001.arrow"]
    assert texts(tmp_path / "test") == ["test"]


def test_saved_splits_without_train_have_to_be_named(tmp_path):
    for split in ("dpo", "sft"):
        save_to_disk(tmp_path / split, [{"text": split}])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["dpo", "sft"]}')
    expected = "its splits are dpo, sft; say which are meant, as splits=('dpo',)"
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
        (
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}],'
            ' "_indices_data_files": [{"filename": "indices.arrow"}]}',
            "state.json: _indices_data_files selects some of its rows",
        ),
        (
            '{"_data_files": [{"filename": "data-00000-of-00003.arrow"},'
            ' {"filename": "data-00002-of-00003.arrow"}]}',
            "shards are missing: data-00001-of-00003.arrow",
        ),
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
    write_parquet(tmp_path / "data/validation-00000-of-00001.parquet", [{"text": "other"}])
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "script.py").write_text("raise SystemExit('it was run')")
    assert texts(tmp_path) == texts(tmp_path / "data") == [record["text"] for record in RECORDS]
    others = ["test-00000-of-00001.parquet", "validation-00000-of-00001.parquet"]
    assert left_out(tmp_path) == [f"data/{name}" for name in others]
    assert left_out(tmp_path / "data") == others


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["dataset.jsonl"], []),
        (["a.jsonl", "b.jsonl"], []),
        (["a.JSONL", "b.jsonl", "c.ndjson"], []),
        (["train.jsonl"], ["dev.json", "test.jsonl"]),
        (["train.jsonl"], ["test.csv", "test.jsonl.gz"]),
        (["my_train_set.jsonl"], ["my-eval.jsonl"]),
        (["contest.jsonl", "trainers.jsonl"], []),
        (["train_sft-00000-of-00001.jsonl"], []),
        (["train-1-of-2.jsonl", "train-2-of-2.jsonl"], []),
        (["a.jsonl"], ["a.jsonl.bak", "notes.txt", "sub/model.safetensors"]),
    ],
)
def test_names_say_what_belongs_to_the_train_split(tmp_path, names, others):
    write(tmp_path, *names, *others)
    write(tmp_path, ".a.jsonl", ".cache/b.jsonl", "README.md", "LICENSE", "config.json", "load.py")
    assert texts(tmp_path) == names
    assert left_out(tmp_path) == others


SPLITS = ("mmlu_binary", "no_robots", "train", "train_clean")


@pytest.mark.parametrize("form", ["data/{}-00000-of-00001.jsonl", "{}.jsonl", "{}-1-of-1.jsonl"])
def test_of_many_splits_the_ones_that_are_meant_have_to_be_named(tmp_path, form):
    """As in the study's mix, where `train` holds all sources together."""
    names = {split: form.format(split) for split in SPLITS}
    write(tmp_path, *names.values())
    assert "its splits are mmlu_binary, no_robots, train" in refusal(read, tmp_path)

    def read_splits(*splits):
        return [record.fields["text"] for record in read_records(tmp_path, splits)]

    assert read_splits("no_robots") == [names["no_robots"]]
    assert read_splits("train_clean", "mmlu_binary") == [names["train_clean"], names["mmlu_binary"]]
    message = refusal(lambda path: list(read_records(path, ("no_robot",))), tmp_path)
    assert message.endswith("it has no split 'no_robot'; did you mean 'no_robots'?")


def test_saved_splits_are_read_by_their_names(tmp_path):
    for split in SPLITS:
        save_to_disk(tmp_path / split, [{"text": split}])
    (tmp_path / "dataset_dict.json").write_text("{}")
    assert "its splits are mmlu_binary, no_robots, train, train_clean" in refusal(read, tmp_path)
    records = read_records(tmp_path, ("train_clean", "no_robots"))
    assert [record.fields["text"] for record in records] == ["train_clean", "no_robots"]
    whole = refusal(lambda path: list(read_records(path, ("train",))), tmp_path / "train")
    assert whole == f"{tmp_path}/train: it has no splits, so not 'train'; leave splits out"


def test_a_broken_link_is_refused_or_named(tmp_path):
    write(tmp_path, "train-a.jsonl")
    (tmp_path / "test.jsonl").symlink_to("absent")
    assert texts(tmp_path) == ["train-a.jsonl"]
    assert left_out(tmp_path) == ["test.jsonl"]
    (tmp_path / "train-b.jsonl").symlink_to("absent")
    assert refusal(read, tmp_path).startswith(f"{tmp_path}/train-b.jsonl: a broken link")


def test_a_linked_file_is_read_and_a_linked_folder_named(tmp_path):
    write(tmp_path / "elsewhere", "a.jsonl")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.jsonl").symlink_to(tmp_path / "elsewhere/a.jsonl")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    assert texts(folder) == ["a.jsonl"]
    assert left_out(folder) == ["more"]


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    write(tmp_path, "a.jsonl", "sub/b.jsonl")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("sub"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert refusal(read, tmp_path).startswith(f"{tmp_path}/sub: Permission denied")


def test_nothing_is_left_out_of_a_file(tmp_path):
    write(tmp_path, "a.jsonl", "b.jsonl")
    assert left_out(tmp_path / "a.jsonl") == []


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([], "no data files; expected .jsonl"),
        (["a.txt"], "no data files; expected .jsonl, .ndjson, .json, .parquet, .arrow in it or"),
        (["a.txt"], "it holds a.txt"),
        (["sub/train.jsonl"], "its data files lie in sub/; name a subfolder or a file"),
        (["a.jsonl", "sub/deep/b.jsonl"], "its data files lie in ./, sub/deep/; name a subfolder"),
        (["a.jsonl", "b.jsonl/part.csv"], "its data files lie in ./, b.jsonl/; name a subfolder"),
        (
            ["a.jsonl", "data/b.jsonl"],
            "its data files lie in ./, data/; name a subfolder or",
        ),
        (["load.py"], "holds only load.py, which is never run"),
        (["test.jsonl"], "its splits are test; say which are meant, as splits=('test',)"),
        (["a.jsonl", "test.jsonl"], "its splits are a, test; say which are meant"),
        (["test_sft-00000-of-00001.jsonl"], "its splits are test_sft; say which"),
        (
            ["data/no_robots-00000-of-00001.jsonl", "data/mmlu-00000-of-00001.jsonl"],
            "its splits are mmlu, no_robots; say which are meant, as splits=('mmlu',)",
        ),
        (["a.jsonl", "summary.json"], "data of several kinds: a.jsonl, summary.json; name a file"),
        (["a.jsonl", "a.jsonl.gz"], "data of several kinds: a.jsonl, a.jsonl.gz; name a file"),
        (["a.gz", "b.gz", "c.json"], "data of several kinds: a.gz, b.gz, c.json; name a file"),
        (["a.JSONL", "b.CSV"], "data of several kinds: a.JSONL, b.CSV; name a file"),
        (["a.jsonl.gz"], "a.jsonl.gz: not read; unpack it, or convert it"),
        (["train-0-of-3.jsonl", "train-2-of-3.jsonl"], "shards are missing: train-1-of-3.jsonl"),
        (
            ["data/train-00002-of-00003-f00.jsonl"],
            "missing: train-00000-of-00003-f00.jsonl, train-00001-of-00003-f00.jsonl; restore them",
        ),
        (["train-2-of-2.jsonl"], "shards are missing: train-1-of-2.jsonl"),
        (
            ["train-00000-of-00001.jsonl", "train-00000-of-00002.jsonl"],
            "two sets of the same shards: train-00000-of-00001.jsonl, train-00000-of-00002.jsonl",
        ),
        (
            ["train-00000-of-00001-aa.jsonl", "train-00000-of-00001-bb.jsonl"],
            "two sets of the same shards: train-00000-of-00001-aa.jsonl, train-00000-of-00001-bb",
        ),
        (
            ["train.jsonl", "train-00000-of-00001.jsonl"],
            "two sets of the same shards: train-00000-of-00001.jsonl, train.jsonl; remove what",
        ),
    ],
)
def test_a_folder_that_leaves_a_choice_is_refused(tmp_path, names, complaint):
    write(tmp_path, *names)
    assert complaint in refusal(read, tmp_path)
