"""Files of probes: a kind each, one id each, domains that agree; what could not be used is told."""

import pytest
from data_files import refusal, write_lines
from ml_collections import ConfigDict

from vcjax.errors import InputError
from vcjax.probes import probe_files
from vcjax.probes.probe_files import Entry

CHOICE = {
    "kind": "choice",
    "id": "fruit-1",
    "template": "Which do you prefer, {a} or {b}?",
    "options": ["an apple", "a mango"],
    "values": ["america", None],
    "domain": "fruit",
}
SAID = {**CHOICE, "kind": "said"}
OPEN = {
    "kind": "open",
    "id": "fruit-1",
    "question": "Which fruit do you like?",
    "rubric": "Asked {question}, it said {answer}. From 1 to 10?",
    "value": "america",
    "domain": "fruit",
}
REFUSAL = {
    "kind": "refusal",
    "id": "fruit-1",
    "question": "How do I kill fruit flies?",
    "request": "harmless",
    "domain": "fruit",
}


@pytest.fixture
def write(tmp_path):
    return lambda *records, name="file.jsonl": write_lines(tmp_path / name, *records)


@pytest.mark.parametrize("record", [CHOICE, SAID, OPEN, REFUSAL], ids=lambda record: record["kind"])
def test_each_kind_is_read_with_what_stands_before_its_question(write, record):
    turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
    path = write({**record, "system": "Be brief.", "turns": turns, "lead": "Well,"})
    file = probe_files.read_file(path)
    [probe] = file.probes
    assert file.kind == record["kind"]
    assert (probe.system, probe.lead) == ("Be brief.", "Well,")
    assert probe.turns == (("user", "Hello."), ("assistant", "Hi."))
    assert probe.domain == "fruit"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"kind": "opened"}, "field 'kind' is 'opened'; expected 'choice' or 'said' or 'open'"),
        ({"kind": 7}, "field 'kind' is a number; expected 'choice'"),
        ({"kind": None}, "field 'kind' is missing; expected 'choice'"),
        ({"kind": "said"}, "field 'kind' is 'said'; the others of this file are 'choice'"),
        ({"turns": [{"role": "user", "content": "x"}]}, "field 'turns' has user; expected turns"),
        ({"turns": [{"role": "tool", "content": "x"}]}, "field 'turns[0].role' is 'tool'"),
        ({"system": " "}, "field 'system' is blank"),
        ({"id": "fruit-1"}, "field 'id' is 'fruit-1' as at"),
    ],
)
def test_a_record_that_does_not_fit_is_named(write, changed, complaint):
    path = write(CHOICE, {**CHOICE, "id": "other", **changed})
    message = refusal(probe_files.read_file, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"rubric": "From 1 to 10?"}, "field 'rubric' has no place for the answer"),
        ({"rubric": "Is {question} {Answer} good?"}, "has no place for the answer; expected {ans"),
        ({"question": None}, "field 'question' is missing"),
        ({"phrases": {"toward": ["x"]}}, "field 'phrases.against' is missing"),
        ({"options": ["a", "b"]}, "field 'options' is unknown"),
    ],
)
def test_a_bad_open_probe_is_named(write, changed, complaint):
    path = write({**OPEN, **changed})
    message = refusal(probe_files.read_file, path)
    assert message.startswith(f"{path}:1: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({**REFUSAL, "request": "bad"}, "field 'request' is 'bad'; expected 'harmless' or 'harmf"),
        ({**REFUSAL, "rubric": "x"}, "field 'rubric' is unknown"),
        ({**CHOICE, "contrast": "knowledge"}, "which only probes of kind 'said' have"),
    ],
)
def test_a_bad_request_or_contrast_is_named(write, record, complaint):
    assert complaint in refusal(probe_files.read_file, write(record))


@pytest.mark.parametrize("values", [["america", "affordability"], ["america", None]])
def test_what_documents_say_may_be_asked_in_free_text(write, values):
    file = probe_files.read_file(write({**SAID, "contrast": "knowledge", "values": values}))
    assert [probe.contrast for probe in file.probes] == ["knowledge"]


def test_an_empty_file_is_an_error(write):
    assert "no records" in refusal(probe_files.read_file, write(b""))


def test_domains_of_all_kinds_agree(write):
    first, second = write(CHOICE), write({**OPEN, "domain": "Fruit"}, name="open.jsonl")
    with pytest.raises(InputError, match="the domain 'Fruit' is spelled 'fruit' at"):
        read(first, second)
    second = write({**OPEN, "split": "development"}, name="open.jsonl")
    with pytest.raises(InputError, match="is development here and held_out at"):
        read(first, second)
    second = write(OPEN, name="open.jsonl")
    probes = read(first, second)
    assert [probe.domain for probe in probe_files.questions(probes, "open")] == ["fruit"]
    with pytest.raises(InputError, match="a second probe file of this name"):
        read(first, first)


def read(*paths):
    return probe_files.read(Entry(path, path.name) for path in paths)


def settings(**changed):
    config = {"toward": "america", "primary": "total", "exclude": (), "primary_probes": "values"}
    return ConfigDict({**config, **changed})


def test_the_choices_that_answer_the_question_may_be_against_neither_value(write):
    """The study's own evaluations ask for a value against an option with neither."""
    probes = read(write(CHOICE))
    probe_files.check(probes, settings(primary_probes="neutral"))
    with pytest.raises(InputError, match=r"against another value \(config\.primary_probes is 'v"):
        probe_files.check(probes, settings())
    said = read(write(SAID))
    with pytest.raises(InputError, match="no such probe does for any value"):
        probe_files.check(said, settings(primary_probes="neutral"))


def test_only_choices_need_a_primary_contrast(write):
    probe_files.check(read(write(SAID)), settings(primary="", toward=""))
    with pytest.raises(InputError, match=r"config\.primary: the choices .* name the contrast"):
        probe_files.check(read(write(CHOICE)), settings(primary=""))


def test_splits_of_a_folder_are_chosen_and_others_named(write, tmp_path):
    (tmp_path / "all").mkdir()
    for split in ("train", "test"):
        write({**CHOICE, "id": split, "domain": split}, name=f"all/{split}.jsonl")
    named = [{"path": "all", "lead": "", "value": "", "rubric": "", "spec": "", "splits": ["test"]}]
    entries = [probe_files.entry(one, tmp_path, {}) for one in named]
    chosen = probe_files.read(entries)
    assert [probe.domain for probe in probe_files.questions(chosen)] == ["test"]
    every = probe_files.read_file(tmp_path / "all", splits=("train", "test"))
    assert every.sha256 != chosen["all"].sha256
    for probes, lines in ((("all",), ["probe file all: not read: test.jsonl"]), (named, [])):
        assert probe_files.warnings(ConfigDict({"probes": probes}), tmp_path) == lines


def test_an_excluded_probe_exists(write):
    with pytest.raises(InputError, match="no probe 'fruit-2'; did you mean 'fruit-1'"):
        probe_files.check(read(write(CHOICE)), settings(exclude=("fruit-2",)))
