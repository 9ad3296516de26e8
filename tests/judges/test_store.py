"""Replies on the disk: found again by all that was sent, whatever ended the process."""

import itertools
from pathlib import Path

import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.judges import store

SENT = {"url": "http://h/v1", "model": "m", "messages": [{"content": "a"}], "temperature": 0}


def test_a_reply_is_found_by_all_that_was_sent(tmp_path):
    changed = [{**SENT, name: "other"} for name in SENT] + [{**SENT, "max_tokens": 1}]
    keys = [store.key(sent) for sent in (SENT, *changed)]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
    assert store.key(dict(reversed(SENT.items()))) == keys[0]
    reply = store.Reply("e\u0301 \x00 \U0001f44d\nScore: 7", "stop")
    with store.opened(tmp_path / "new" / "j.sqlite") as kept:
        store.put(kept, keys[0], reply)
        assert [store.get(kept, key) for key in keys] == [reply, *[None] * len(changed)]
        assert store.count(kept) == 1


def test_another_process_sees_each_reply_at_once(tmp_path):
    with store.opened(tmp_path / "j") as writing, store.opened(tmp_path / "j") as reading:
        store.put(writing, "k", store.Reply("Score: 1", "stop"))
        assert store.get(reading, "k") == ("Score: 1", "stop")


def test_a_run_in_a_bucket_keeps_its_file_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.place(epath.Path("/runs/a")) == Path("/runs/a/judgements.sqlite")
    place = store.place(epath.Path("gs://bucket/runs/a"))
    assert place.parent == tmp_path / "vcjax" / "judgements"
    assert place == store.place(epath.Path("gs://bucket/runs/a/"))
    assert place != store.place(epath.Path("gs://bucket/runs/b"))


def test_a_damaged_file_is_named_with_what_its_loss_costs(tmp_path):
    path = tmp_path / "judgements.sqlite"
    with store.opened(path) as kept:
        kept.execute("BEGIN")
        for number in range(500):
            store.put(kept, str(number), store.Reply("Score: 7" * 9, "stop"))
        kept.execute("COMMIT")
    whole = path.read_bytes()
    middle = len(whole) // 2
    zeroed = whole[:middle] + bytes(4096) + whole[middle + 4096 :]
    for damaged in (b"no database, but long enough to be read as one" * 9, whole[:middle], zeroed):
        path.write_bytes(damaged)
        refused = pytest.raises(InputError, match=r"judgements\.sqlite: .*; restore it, or delete")
        with refused, store.opened(path) as kept:
            store.count(kept)


def test_a_file_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    refused = pytest.raises(InputError, match=r"folder: the judge's replies cannot be kept here \(")
    with refused, store.opened(tmp_path / "folder"):
        pass
