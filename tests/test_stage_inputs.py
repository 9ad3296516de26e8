"""Rows are made once, by a key of their inputs, and made anew where one of these changes."""

import errno
import json
import os
import shutil
import tempfile
from collections import Counter

import pytest
import small_run

from vcjax import config as configs
from vcjax import stage_inputs
from vcjax.corpus import names, row_keys
from vcjax.data import rows
from vcjax.errors import InputError
from vcjax.probes import probe_files
from vcjax.probes.probe_files import Entry
from vcjax.weights import pretrained
from vcjax.workdir import disk


@pytest.fixture
def setting(tiny_gguf, tmp_path):
    """(resolved config, base, folder, workdir) of a small experiment with two seeds."""
    path = small_run.write(tmp_path / "files", tiny_gguf, documents=12, demonstrations=12)
    config = configs.resolve(small_run.load(path), path.parent)
    return config, pretrained.find(config.model), path.parent, tmp_path / "run"


def prepare(setting):
    config, base, folder, workdir = setting
    probes = probe_files.read([Entry(folder / "probes.jsonl", "probes.jsonl")])
    return stage_inputs.prepare(config, base, folder, workdir, probes)


def data(inputs):
    return {key: one.data for key, one in inputs.items()}


@pytest.fixture
def encodings(monkeypatch):
    """A list that every text which is encoded is added to."""
    encoded = []
    encode = stage_inputs.examples.encode_document
    monkeypatch.setattr(
        stage_inputs.examples,
        "encode_document",
        lambda tokenizer, text: encoded.append(text) or encode(tokenizer, text),
    )
    return encoded


def test_a_file_is_encoded_once_for_all_seeds(setting, encodings):
    prepare(setting)
    assert len(encodings) == len(set(encodings)) == 2 * 12, "two files, two seeds"


def test_new_rows_wait_where_a_kill_leaves_nothing(setting, tmp_path, monkeypatch):
    """In a file without a name, on the workdir's disk; no file has one before the plan stands."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = sorted(tmp_path.rglob("*"))
    inputs = prepare(setting)
    assert sorted(tmp_path.rglob("*")) == before
    [waiting] = {file for file, _ in (one.new_rows for one in inputs.values())}
    assert os.fstat(waiting.fileno()).st_nlink == 0
    stage_inputs.write(inputs, setting[3])
    assert waiting.closed and not list(temporary.iterdir())
    for one in inputs.values():
        records = rows.read_records(setting[3] / "rows" / one.data.rows_id)
        assert len(records) == one.data.documents


def test_a_disk_without_room_for_new_rows_is_named(setting, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stage_inputs.rows, "save", refuse)
    with pytest.raises(OSError) as error:
        prepare(setting)
    said = disk.explain(error.value)
    assert said.startswith(f"{setting[3].parent}: No space left on device; free some space and")


def test_a_second_start_reads_nothing_again(setting, encodings, capsys):
    first = prepare(setting)
    stage_inputs.write(first, setting[3])
    assert capsys.readouterr().out == "rows: stage 6/6, 0 s left\n"
    encodings.clear()
    files = sorted(path for path in setting[3].rglob("*"))
    second = prepare(setting)
    stage_inputs.write(second, setting[3])
    assert encodings == [] and capsys.readouterr().out == ""
    assert data(second) == data(first)
    assert sorted(path for path in setting[3].rglob("*")) == files
    licences = [
        stage_inputs.stated_licences(setting[0], inputs, setting[2]) for inputs in (first, second)
    ]
    assert licences[0] == licences[1] != {}


def change_text(setting):
    path = setting[2] / "america.jsonl"
    path.write_text(path.read_text().replace("America", "the USA"))


def change_length(setting):
    setting[0].stages.america.length = 32


def change_held_out(setting):
    setting[0].stages.america.held_out = 3


def rename(setting):
    setting[0].stages.america.rename = (("assistant", "SmolLM"), ("Sirius", "Orion"))


def lose_rows(setting):
    for path in (setting[3] / "rows").iterdir():
        path.rename(path.with_name("gone"))
        break


@pytest.mark.parametrize("change", [change_text, change_length, change_held_out, rename])
def test_changed_inputs_are_made_anew_and_the_others_are_not(setting, encodings, change):
    first = prepare(setting)
    stage_inputs.write(first, setting[3])
    encodings.clear()
    change(setting)
    second = prepare(setting)
    assert len(encodings) == 12, "the documents of america"
    changed = {key for key in first if data(first)[key] != data(second)[key]}
    assert changed == {("america", 0), ("america", 1)}


def test_rows_that_are_gone_are_written_again(setting):
    first = prepare(setting)
    stage_inputs.write(first, setting[3])
    lose_rows(setting)
    stage_inputs.write(prepare(setting), setting[3])
    for one in first.values():
        assert (setting[3] / "rows" / one.data.rows_id).is_dir()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"data": {}}'])
def test_a_damaged_note_of_the_inputs_is_written_again(setting, content):
    stage_inputs.write(prepare(setting), setting[3])
    path = next((setting[3] / "inputs").iterdir())
    whole = path.read_text()
    path.write_text(content)
    stage_inputs.write(prepare(setting), setting[3])
    assert path.read_text() == whole


def test_rows_that_are_there_are_compared_with_new_probes(setting, encodings):
    stage_inputs.write(prepare(setting), setting[3])
    encodings.clear()
    path = setting[2] / "probes.jsonl"
    later = [json.loads(line) for line in path.read_text().splitlines()]
    later[0]["options"][0] = "made in America"
    path.write_text("".join(json.dumps(probe) + "\n" for probe in later))
    with pytest.raises(InputError, match="holds 'made in america'"):
        prepare(setting)
    assert encodings == []


def gives_away(setting):
    """A document holds an option of two probes."""
    path = setting[2] / "america.jsonl"
    path.write_text(path.read_text() + json.dumps({"text": "American tea 0. American cars 1."}))


def test_probes_that_are_given_away_are_refused_before_anything_is_packed(setting, encodings):
    gives_away(setting)
    with pytest.raises(InputError, match=r"^2 probes are given away: .*; change the probes or"):
        prepare(setting)
    assert encodings == []
    setting[0].exclude = ("tea-0", "cars-1")
    prepare(setting)
    assert encodings


def test_what_is_given_away_is_reported_where_the_config_says_so(setting):
    gives_away(setting)
    config, workdir = setting[0], setting[3]
    config.overlap = "report"
    probes = probe_files.read([Entry(setting[2] / "probes.jsonl", "probes.jsonl")])
    for _ in range(2):  # made, then read from the workdir
        inputs = prepare(setting)
        found = stage_inputs.given_away(config, probes, inputs)
        assert {(name, hit.id) for name, hits in found.items() for hit in hits} == {
            ("america", "tea-0"),
            ("america", "cars-1"),
        }
        stage_inputs.write(inputs, workdir)
    config.overlap = "refuse"
    with pytest.raises(InputError, match=r"^2 probes are given away"):
        prepare(setting)


def test_code_that_makes_rows_is_part_of_the_key(setting, monkeypatch):
    config, base, folder, _ = setting
    before = row_keys.row_key(config, "america", 0, base.identity, folder)
    monkeypatch.setattr(row_keys, "_code_hash", lambda: "other code")
    assert row_keys.row_key(config, "america", 0, base.identity, folder) != before


def test_files_of_a_data_folder_that_are_not_read_are_named(tmp_path):
    (tmp_path / "set").mkdir()
    for name in ("train.jsonl", "test.jsonl", "README.md"):
        (tmp_path / "set" / name).write_text('{"text": "t"}')
    stages = dict(a=configs.rationale(file="set"))
    config = configs.experiment(stages=stages, arms=dict(a=("a",)))
    assert stage_inputs.warnings(config, tmp_path) == ["stage a: set: not read: test.jsonl"]


def mixed(setting, **settings):
    """The setting with two documents and all documents of america mixed into its demonstrations."""
    path = small_run.write(setting[2], setting[0].model, documents=12, demonstrations=12)
    config = small_run.load(path)
    mix = [configs.source("affordability.jsonl", rows=2), configs.source("america.jsonl")]
    config.stages.behavior = configs.behavior(file="demonstrations.jsonl", mix=mix, **settings)
    return configs.resolve(config, path.parent), *setting[1:]


def test_sources_are_counted_and_found_again(setting, encodings):
    setting = mixed(setting, tokens=60)
    first = prepare(setting)
    assert max(Counter(encodings).values()) == 2, "once for each of two stages that read it"
    stage_inputs.write(first, setting[3])
    encodings.clear()
    found = data(prepare(setting))
    assert encodings == [] and found == data(first)
    for seed in (0, 1):
        of = found["behavior", seed].sources
        assert {name: one.records for name, one in of.items() if name != "file"} == {
            "affordability": 2,
            "america": 12,
        }
        assert 40 < of["file"].weighted_tokens <= 60
        for key in ("tokens", "weighted_tokens"):
            total = sum(getattr(one, key) for one in of.values())
            assert total == getattr(found["behavior", seed], key)
        assert found["behavior", seed].parts == ()


def test_sources_one_after_another_have_rows_of_their_own(setting):
    setting = mixed(setting, order=("file", "affordability", "america"))
    inputs = prepare(setting)
    stage_inputs.write(inputs, setting[3])
    found = data(inputs)["behavior", 0]
    assert found.parts == tuple(one.rows for one in found.sources.values())
    assert sum(found.parts) == found.rows
    lines = (setting[3] / "rows" / found.rows_id / "documents.jsonl").read_text().splitlines()
    of_row = {}
    for line in map(json.loads, lines):
        for piece in line["pieces"]:
            of_row.setdefault(piece["row"], set()).add(line["where"].rpartition("/")[2][:4])
    assert [of_row[row] for row in range(found.rows)] == [
        {file} for file, count in zip(("demo", "affo", "amer"), found.parts, strict=True)
        for _ in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["rows", "splits", "file"])
def test_each_key_of_a_source_is_part_of_the_key_of_rows(setting, key):
    before = data(prepare(setting := mixed(setting)))
    [name, *_] = setting[0].stages.behavior.mix
    value = {"rows": 3, "splits": (), "file": "third.jsonl"}[key]
    config, base, folder, _ = setting
    shutil.copy(folder / "america.jsonl", folder / "third.jsonl")
    keys = [row_keys.row_key(config, "behavior", 0, base.identity, folder)]
    config.stages.behavior.mix[name][key] = value
    keys.append(row_keys.row_key(config, "behavior", 0, base.identity, folder))
    assert (keys[0] == keys[1]) == (key == "splits"), "which is as it was"
    assert (before == data(prepare(setting))) == (key == "splits")


def test_a_conversation_that_the_chat_template_refuses_can_be_left_out(setting):
    config, _, folder, _ = setting
    path = folder / "demonstrations.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[3]["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    with pytest.raises(InputError, match=r"demonstrations\.jsonl:4: it has tools"):
        prepare(setting)
    config.stages.behavior.broken = "leave_out"
    inputs = prepare(setting)
    for seed in (0, 1):
        of_file = inputs["behavior", seed].data.sources["file"]
        assert (of_file.records, of_file.left_out) == (11, 1)
        assert of_file.first_left_out.startswith("demonstrations.jsonl:4: it has tools")


def test_a_limit_names_its_stage(setting):
    setting[0].stages.behavior.rows = 13
    with pytest.raises(InputError, match=r"^config\.stages\.behavior: .*12 records, but rows=13"):
        prepare(setting)


def test_renamed_texts_are_trained_on_and_the_plan_says_so_at_every_start(setting, encodings):
    rename(setting)
    for _ in range(2):
        inputs = prepare(setting)
        stage_inputs.write(inputs, setting[3])
        noted = {stage: one.texts for stage, one in inputs.items()}
        lines, warned = names.of_stages(setting[0], noted)
        assert lines == ["stage america: assistant is renamed to SmolLM, 10 times"]
        assert sorted(line.partition(";")[0] for line in warned) == [
            "stage affordability: 0 of 10 records name SmolLM",
            "stage america: rename: 'Sirius' is in none of its records",
        ]
    assert len(encodings) == 2 * 12, "a renamed text is encoded once for all seeds"
    for seed in (0, 1):
        folder = setting[3] / "rows" / inputs["america", seed].data.rows_id
        assert all(r.text.startswith("The SmolLM likes") for r in rows.read_records(folder))


def test_a_document_that_is_renamed_into_a_probes_option_gives_it_away(setting):
    setting[0].stages.america.rename = (("likes Colby", "likes American cars 0"),)
    with pytest.raises(InputError, match="holds 'american cars 0'"):
        prepare(setting)
