"""Several sources in one stage: so many of each, by one order, or refused."""

import random
from collections import Counter

import pytest
from data_files import write_lines

from vcjax.config import behavior, experiment, rationale, source
from vcjax.corpus import mixture
from vcjax.corpus.stage_records import stage_records
from vcjax.data.formats import Demonstration, Document, read_demonstrations
from vcjax.errors import InputError


def chats(name, count):
    return [
        {
            "messages": [
                {"role": "user", "content": f"{name} {i}?"},
                {"role": "assistant", "content": "Yes, it is so."},
            ]
        }
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path):
    write_lines(tmp_path / "own.jsonl", *chats("own", 30))
    write_lines(tmp_path / "documents.jsonl", *({"text": f"Document {i}."} for i in range(20)))
    for split, count in (("robots", 40), ("mmlu", 25), ("train", 99)):
        path = tmp_path / f"mix/data/{split}-00000-of-00001.jsonl"
        write_lines(path, *chats(split, count))
    return tmp_path


def drawn(stage, folder, seed=0):
    """count: every record has ten tokens that are trained on."""
    return stage_records(stage, seed, experiment(), folder, lambda record: 10)


def names(records):
    return [
        record.text if isinstance(record, Document) else record.messages[0]["content"]
        for record in records
    ]


def refused(stage, folder):
    with pytest.raises(InputError) as error:
        drawn(stage, folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def robots(**settings):
    return source("mix", splits=("robots",), **settings)


def test_every_source_gives_what_is_asked_of_it(folder):
    mix = [robots(rows=10), source("mix", splits=("mmlu",)), source("documents.jsonl", tokens=79)]
    found = drawn(behavior(file="own.jsonl", held_out=4, mix=mix), folder)
    counts = {"file": 26, "robots": 10, "mmlu": 25, "documents": 7}
    assert Counter(found.sources) == counts
    assert [*found.sources] != sorted(found.sources), "they lie among one another"
    for record, name in zip(found.train, found.sources, strict=True):
        assert isinstance(record, Document) == (name == "documents")
    first = {"file": "own", "robots": "robots", "mmlu": "mmlu", "documents": "Document"}
    for text, name in zip(names(found.train), found.sources, strict=True):
        assert text.startswith(first[name])
    assert all(text.startswith("own") for text in names(found.held_out))


def test_shares_are_of_all_records(folder):
    """50 of 100 are own or limited; a fifth of all contradict, three tenths are replayed."""
    mix = dict(
        limited=robots(rows=20),
        contradicting=source("mix", splits=("train",), share=0.2),
        replay=source("mix", splits=("mmlu",), share=0.3),
    )
    with pytest.raises(InputError, match=r"mix\.replay: mix: 25 records, but a share of 0\.3 besi"):
        drawn(behavior(file="own.jsonl", mix=mix), folder)
    mix["replay"].share = 0.25
    found = drawn(behavior(file="own.jsonl", mix=mix), folder)
    assert Counter(found.sources) == {"file": 30, "limited": 20, "contradicting": 18, "replay": 23}


def test_fewer_are_among_more_and_held_out_records_stay(folder):
    of = {
        rows: drawn(
            behavior(file="own.jsonl", held_out=5, rows=rows, mix=[robots(rows=rows)]), folder
        )
        for rows in (5, 12, 20)
    }
    for fewer, more in ((5, 12), (12, 20)):
        assert Counter(names(of[fewer].train)) < Counter(names(of[more].train))
    assert len({tuple(names(one.held_out)) for one in of.values()}) == 1
    other = drawn(behavior(file="own.jsonl", held_out=5, rows=20), folder, seed=1)
    assert {*names(other.train)} != {n for n in names(of[20].train) if n.startswith("own")}


def test_a_file_and_a_mix_of_it_have_the_same_first_records(folder):
    own = drawn(behavior(file="own.jsonl", rows=7), folder)
    mixed = drawn(behavior(file="mix", splits=("mmlu",), mix=[source("own.jsonl", rows=7)]), folder)
    assert {*names(own.train)} == {n for n in names(mixed.train) if n.startswith("own")}


def test_what_is_held_out_is_said_where_records_are_missing(folder):
    message = refused(behavior(file="own.jsonl", held_out=8, rows=25), folder)
    assert message.startswith("own.jsonl (beside 8 held out): 22 records, but rows=25")


def test_a_limit_in_tokens_is_the_beginning_of_the_same_order(folder):
    by_rows = drawn(behavior(file="own.jsonl", rows=7), folder)
    by_tokens = drawn(behavior(file="own.jsonl", tokens=75), folder)
    assert names(by_rows.train) == names(by_tokens.train)
    assert len(drawn(behavior(file="own.jsonl", tokens=300), folder).train) == 30


def test_sources_may_come_one_after_another(folder):
    """Documents, then conversations: replay in a rationale stage."""
    stage = rationale(
        file="documents.jsonl",
        held_out=0,
        mix=[robots(), source("own.jsonl")],
        order=("file", "robots", "own"),
    )
    found = drawn(stage, folder)
    assert [*dict.fromkeys(found.sources)] == ["file", "robots", "own"]
    assert [*found.sources] == sorted(found.sources, key=["file", "robots", "own"].index)
    kinds = [type(record) for record in found.train]
    assert kinds == [Document] * 20 + [Demonstration] * 70


def test_a_file_by_its_share_is_drawn_as_it_always_was(folder):
    """What releases before this one drew: the same records in the same order."""
    stage = behavior(file="own.jsonl", held_out=2, mix="own.jsonl", mix_share=0.25)
    for seed in (0, 3):
        own = [*read_demonstrations(folder / "own.jsonl")]
        random.Random(f"order-{seed}").shuffle(own)
        mix = random.Random(f"mix-{seed}").sample(read_demonstrations(folder / "own.jsonl"), 9)
        mixed = [*own[:28], *mix]
        random.Random(f"order-{seed}").shuffle(mixed)
        found = drawn(stage, folder, seed)
        assert (names(found.train), names(found.held_out)) == (names(mixed), names(own[28:]))
        assert Counter(found.sources) == {"file": 28, "mix": 9}


def test_a_record_with_both_is_what_the_stage_is_about(folder):
    [chat] = chats("both", 1)
    write_lines(folder / "both.jsonl", chat | {"text": "The same as a text."})
    mix = [source("both.jsonl")]
    of_behavior = drawn(behavior(file="own.jsonl", mix=mix, order=("file", "both")), folder)
    of_rationale = drawn(rationale(file="documents.jsonl", mix=mix, order=("file", "both")), folder)
    assert isinstance(of_behavior.train[-1], Demonstration)
    assert isinstance(of_rationale.train[-1], Document)


def test_records_that_cannot_be_used_are_left_out_only_where_the_config_says_so(folder):
    blank = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": " "}]}
    cut = {"messages": [blank["messages"][0], {"role": "assistant", "content": "<think>Hm."}]}
    own = chats("own", 3)
    path = write_lines(folder / "some.jsonl", own[0], blank, own[1], cut, own[2])
    message = refused(behavior(file="some.jsonl"), folder)
    assert message == f"{path}:2: field 'messages[1].content' is blank; expected text"
    mix = [source("some.jsonl"), robots(rows=1)]
    found = drawn(behavior(file="some.jsonl", mix=mix, broken="leave_out"), folder)
    assert Counter(found.sources) == {"file": 3, "some": 3, "robots": 1}
    expected = [
        "some.jsonl:2: field 'messages[1].content' is blank; expected text",
        "some.jsonl:4: field 'messages[1].content' has <think> 1 and </think> 0 times; expected "
        "one whole block, before the answer, or the thinking in 'reasoning'",
    ]
    assert found.broken == {"file": expected, "some": expected, "robots": []}
    write_lines(folder / "some.jsonl", blank, cut)
    stage = behavior(file="some.jsonl", broken="leave_out")
    assert (
        refused(stage, folder) == f"{path}:1: field 'messages[1].content' is blank; expected text"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(rows=31), "own.jsonl: 30 records, but rows=31; lower it, or give more of them"),
        (dict(tokens=301), "own.jsonl: 300 tokens are trained on, but tokens=301; lower it, or"),
        (dict(tokens=9), "own.jsonl: tokens=9, but the first record has 10"),
        (dict(mix=[robots(rows=41)]), "mix.robots: mix: 40 records, but rows=41; lower it"),
        (dict(mix=[robots(tokens=401)]), "mix.robots: mix: 400 tokens are trained on, but tokens"),
        (dict(mix=[robots(share=0.6)]), "mix.robots: mix: 40 records, but a share of 0.6 beside "),
        (dict(mix=[robots(share=0.01)]), "mix.robots: mix: a share of 0.01 beside 30 others is n"),
        (dict(mix=[source("mix")]), "mix/data: its splits are mmlu, robots, train; say which are"),
        (
            dict(mix=[source("mix", splits=("robot",))]),
            "mix/data: it has no split 'robot'; did you mean 'robots'?",
        ),
        (
            dict(splits=("robots",)),
            "own.jsonl: a file has no splits, so not 'robots'; leave splits out",
        ),
    ],
)
def test_what_a_source_does_not_have_is_refused(folder, settings, message):
    assert message in refused(behavior(file="own.jsonl", **settings), folder)


def test_a_source_of_neither_documents_nor_conversations_is_refused(folder):
    path = write_lines(folder / "odd.jsonl", {"body": "It is so."})
    message = refused(behavior(file="own.jsonl", mix=[source("odd.jsonl")]), folder)
    assert message == (
        f"{path}:1: the record has 'body'; expected 'text' of a document, or 'messages' of a "
        "conversation"
    )


def test_the_files_of_a_stage_with_their_splits():
    mix = [robots(), source("tfds:chats:1.0.0/train")]
    stage = behavior(file="own.jsonl", splits=("a",), mix=mix)
    assert mixture.files(stage) == [
        ("own.jsonl", ("a",)),
        ("mix", ("robots",)),
        ("tfds:chats:1.0.0/train", ("train",)),
    ]
    assert mixture.named(stage) == {
        "file": "own.jsonl",
        "robots": "mix",
        "train": "tfds:chats:1.0.0/train",
    }
    written = behavior(spec="a.md", demonstrations=3, mix="m.jsonl", mix_share=0.5)
    assert mixture.files(written) == [("m.jsonl", ())]
    assert mixture.named(written) == {"spec": "a.md", "mix": "m.jsonl"}
