"""Data sets of TFDS are read as other files are, without TensorFlow."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_files import refusal

from vcjax.data import tfds_folders
from vcjax.data.folders import left_out
from vcjax.data.formats import demonstration, read_demonstrations, read_texts
from vcjax.data.tables import read_records

CHAT = [{"role": "user", "content": "Käse?"}, {"role": "assistant", "content": "Ja."}]
SPLITS = {"train": 3, "validation": 1, "extra": 2}


class Chats(tfds.core.GeneratorBasedBuilder):
    """Conversations, with numbers beside them."""

    VERSION = tfds.core.Version("1.0.0")
    splits = SPLITS

    def _info(self):
        features = tfds.features
        text = features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict(
                {
                    "messages": features.Sequence({"role": text, "content": text}),
                    "number": np.int64,
                    "scores": features.Sequence(np.float32),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, manager):
        return {name: self._generate_examples(count) for name, count in self.splits.items()}

    def _generate_examples(self, count):
        for index in range(count):
            yield index, {"messages": CHAT, "number": index, "scores": [0.5] * index}


class Plain(Chats):
    """With nothing beside what is to be held out."""

    splits = {"train": 2, "test": 1}  # noqa: RUF012


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (Chats, Plain):
        builder(data_dir=folder).download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    return folder


@pytest.fixture(autouse=True)
def environment(data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))


def test_a_split_is_read_in_its_order_as_plain_values(data_dir):
    folder = tfds_folders.find("tfds:chats:1.0.0/train")
    assert folder == data_dir / "chats" / "1.0.0"
    found = list(read_records(folder, ("train",)))
    assert [record.fields["number"] for record in found] == [0, 1, 2]
    assert found[2].fields == {"messages": CHAT, "number": 2, "scores": [0.5, 0.5]}
    assert found[2].where == f"{folder}:train item 2"
    read = read_texts(folder, demonstration, ("extra", "validation")).records
    assert [record.provenance["number"] for record in read] == ["0", "1", "0"]
    assert "tensorflow" not in sys.modules


def test_train_is_taken_beside_what_is_held_out_alone():
    plain = tfds_folders.find("tfds:plain:1.0.0")
    assert len(read_demonstrations(plain)) == 2 and left_out(plain) == ["test"]
    folder = tfds_folders.find("tfds:chats:1.0.0")
    message = refusal(read_demonstrations, folder)
    assert message == (
        f"{folder}: its splits are train, validation, extra; say which are meant, as "
        "splits=('train',)"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tfds:chats", "tfds:chats: expected tfds:name:version, perhaps with /split"),
        ("tfds:chat:1.0.0", "has no 'chat'; did you mean 'chats'?"),
        ("tfds:chats:1.0.1", "has no '1.0.1'; did you mean '1.0.0'?"),
        ("tfds:chats/long:1.0.0", "has no 'long'; expected one of 1.0.0"),
    ],
)
def test_one_that_is_not_here_is_refused_with_the_nearest(source, message):
    assert message in refusal(tfds_folders.find, source)


def test_hidden_files_are_no_data_sets(tmp_path, monkeypatch):
    (tmp_path / ".config").mkdir()
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert "expected one of plain;" in refusal(tfds_folders.find, "tfds:zzz:1.0.0")


def test_a_split_that_is_not_there_is_refused_with_the_nearest():
    folder = tfds_folders.find("tfds:chats:1.0.0")
    message = refusal(lambda path: list(read_records(path, ("trian",))), folder)
    assert message == f"{folder}: it has no split 'trian'; did you mean 'train'?"


def test_files_that_only_tensorflow_reads_are_refused(tmp_path):
    folder = tmp_path / "chats" / "1.0.0"
    folder.mkdir(parents=True)
    original = tfds_folders.find("tfds:plain:1.0.0")
    for path in original.iterdir():
        text = path.read_bytes()
        if path.name == "dataset_info.json":
            text = text.replace(b"array_record", b"tfrecord")
        (folder / path.name).write_bytes(text)
    assert "tfrecord" in refusal(read_demonstrations, folder)
