"""Answers come back as they were written; a damaged file is not current, so it is scored again."""

import random

import pandas as pd
import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.probes import answer_files

DECIDED = {"model": "the fingerprint of a stage", "lead": "I prefer"}
PROBES = {"probes.jsonl": "123", "more.jsonl": "456"}
TABLE = pd.DataFrame(
    {
        "id": [f"cars-{i}" for i in range(20)],
        "logprob": [-1.5 * i for i in range(20)],
        "explicitness": [None] * 20,
        "seed": 0,
    }
)


@pytest.fixture
def path(tmp_path):
    path = epath.Path(tmp_path / "america-0.parquet")
    answer_files.write(path, TABLE, {**DECIDED, "probes": PROBES})
    return path


def is_current(path, **changed):
    return answer_files.is_current(path, {**DECIDED, "probes": PROBES, **changed})


def test_what_was_written_is_read_and_current(path):
    pd.testing.assert_frame_equal(answer_files.read(path).to_pandas(), TABLE)
    assert is_current(path)
    assert answer_files.is_current(path, DECIDED), "whatever probes it has answers to"
    assert is_current(path, probes={"more.jsonl": "456"}), "one of its files is no longer asked"
    assert not is_current(path, probes={"third.jsonl": "789"})
    assert not is_current(path, sampling={"temperature": 1.0})
    assert not is_current(path, model="another")
    assert not is_current(path, lead="I like")
    assert not is_current(path, probes={"probes.jsonl": "other"})


def test_no_flipped_bit_gives_other_answers(path):
    whole, values = path.read_bytes(), answer_files.read(path).to_pydict()
    draw = random.Random(0)
    seen = 0
    for _ in range(150):
        damaged, bit = bytearray(whole), draw.randrange(8 * len(whole))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        if is_current(path):
            assert answer_files.read(path).to_pydict() == values
        else:
            seen += 1
    assert seen > 30


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"PAR1"])
def test_a_file_that_is_none_is_said_and_not_current(path, content, capsys):
    path.write_bytes(content)
    assert not is_current(path)
    assert f"warning: {path}: not a Parquet file, or damaged" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"vcjax\.main asks for it again"):
        answer_files.read(path)


def test_each_kind_has_its_file_and_older_texts_are_among_the_choices(tmp_path):
    folder = epath.Path(tmp_path)

    def name(kind, older=False):
        return answer_files.path_of(folder, "base", 0, kind, older).name

    assert name("choice") == name("choice", older=True) == "base-0.parquet"
    assert name("said") == name("said", older=True) == "base-0.said.parquet"
    assert name("text") == "base-0.text.parquet"
    assert name("text", older=True) == "base-0.parquet"
    answer_files.write(folder / "base-0.text.parquet", TABLE, DECIDED)
    assert name("text", older=True) == "base-0.text.parquet", "it was scored again"
