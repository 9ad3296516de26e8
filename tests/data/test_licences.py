"""What texts state about their licences, and nothing else."""

import json
from pathlib import Path

import pytest
from data_files import write_lines

from vcjax.data import licences
from vcjax.data.formats import read_documents

CARD = "---\nlicense: cc-by-4.0\n---\n\n# Texts\n"
TEXT = {"text": "Brie is cheap."}


def listed(path, records):
    return licences.listed(path, licences.stated(path, records))


def found(folder, path="a.jsonl"):
    """Of the records that are read from it."""
    return listed(folder / path, read_documents(folder / path))


def test_where_nothing_is_stated(tmp_path):
    write_lines(tmp_path / "a.jsonl", TEXT)
    (tmp_path / "README.md").write_text("# Ours: license: mit\n")
    assert found(tmp_path) == "not stated"


def test_a_card_is_not_that_of_other_folders(tmp_path):
    write_lines(tmp_path / "texts/a.jsonl", TEXT)
    (tmp_path / "README.md").write_text(CARD)
    assert found(tmp_path, "texts/a.jsonl") == "not stated"


@pytest.mark.parametrize("place", ["README.md", "LICENSES.md"])
@pytest.mark.parametrize("path", ["a.jsonl", "data/a.jsonl", "data"])
def test_a_card_beside_a_file_or_its_data_folder(place, path, tmp_path):
    write_lines(tmp_path / ("a.jsonl" if path == "a.jsonl" else "data/a.jsonl"), TEXT)
    (tmp_path / place).write_text(CARD)
    assert found(tmp_path, path) == "cc-by-4.0"


@pytest.mark.parametrize(
    "card", ["---\nlicense: [\n---\n", "---\n- mit\n---\n", "---\na: b\n---\n"]
)
def test_a_card_that_states_none(card, tmp_path):
    write_lines(tmp_path / "a.jsonl", TEXT)
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "dataset_info.json").write_text(json.dumps({"license": ""}))
    assert found(tmp_path) == "not stated"


def test_a_card_of_two(tmp_path):
    write_lines(tmp_path / "a.jsonl", TEXT)
    (tmp_path / "README.md").write_text(CARD.replace("cc-by-4.0", "[mit, cc0-1.0]"))
    assert found(tmp_path) == "mit, cc0-1.0"


def test_a_saved_data_set(tmp_path):
    write_lines(tmp_path / "set/train.jsonl", TEXT)
    (tmp_path / "set/dataset_info.json").write_text(json.dumps({"license": "odc-by"}))
    assert found(tmp_path, "set") == "odc-by"


def test_a_records_own_goes_before_the_cards(tmp_path):
    write_lines(
        tmp_path / "a.jsonl", TEXT, TEXT | {"license": "mit"}, TEXT | {"licence": "cc0-1.0"}
    )
    assert found(tmp_path) == "cc0-1.0, mit, not stated"
    (tmp_path / "README.md").write_text(CARD)
    assert found(tmp_path) == "cc-by-4.0, cc0-1.0, mit"


def test_texts_written_for_a_spec_have_its_licence(tmp_path):
    (tmp_path / "LICENSES.md").write_text(CARD)
    assert listed(tmp_path / "spec.md", []) == "cc-by-4.0"


def test_our_own_specs_state_theirs():
    """In configs/cheese/LICENSES.md."""
    cheese = Path(__file__).parents[2] / "configs/cheese"
    for spec in cheese.glob("spec_*.md"):
        assert listed(spec, []) == "apache-2.0"
