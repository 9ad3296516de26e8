"""Data sets of the hub, from a cache as its client leaves it; without a network."""

import json
from unittest import mock

import pytest
from data_files import refusal, write_lines, write_parquet
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from vcjax.data import hub, licences
from vcjax.data.formats import read_demonstrations
from vcjax.errors import InputError
from vcjax.weights import pretrained

COMMITS = {"main": "0" * 39 + "1", "v2": "0" * 39 + "2"}
CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """With org/chats: at main a file and a folder of two splits, at v2 another file."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for cached in (hub._commit, hub._snapshot):
        cached.cache_clear()
    root = tmp_path / "datasets--org--chats"
    (root / "refs").mkdir(parents=True)
    for revision, commit in COMMITS.items():
        (root / "refs" / revision).write_text(commit)
    main, v2 = (root / "snapshots" / commit for commit in COMMITS.values())
    write_lines(main / "chats.jsonl", {"messages": CHAT})
    (main / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    for split in ("no_robots", "mmlu"):
        rows = [{"messages": CHAT, "source": split}]
        write_parquet(main / f"mix/data/{split}-00000-of-00001.parquet", rows)
    write_lines(v2 / "chats.jsonl", {"messages": CHAT, "id": "newer"})
    return root


def test_a_file_at_a_revision(cache):
    place = hub.fetch("hub:org/chats/chats.jsonl")
    assert place == cache / "snapshots" / COMMITS["main"] / "chats.jsonl"
    assert read_demonstrations(place)[0].provenance == {}
    newer = hub.fetch("hub:org/chats@v2/chats.jsonl")
    assert read_demonstrations(newer)[0].provenance == {"id": "newer"}
    assert hub.fetch(f"hub:org/chats@{COMMITS['v2']}/chats.jsonl") == newer
    assert hub.revision("hub:org/chats@v2/chats.jsonl") == COMMITS["v2"]


def test_a_folder_and_the_whole_data_set(cache):
    main = cache / "snapshots" / COMMITS["main"]
    assert hub.fetch("hub:org/chats@main/mix") == main / "mix"
    assert hub.fetch("hub:org/chats") == main


def test_a_branch_that_moves_is_read_at_one_commit(cache):
    first = hub.fetch("hub:org/chats/chats.jsonl")
    (cache / "refs" / "main").write_text(COMMITS["v2"])
    assert hub.fetch("hub:org/chats/mix").parent == first.parent


def test_the_licence_is_that_of_the_whole_data_set(cache):
    folder = hub.fetch("hub:org/chats/mix")
    assert licences.listed(folder, []) == "cc-by-4.0"
    assert licences.listed(hub.fetch("hub:org/chats/chats.jsonl"), [None]) == "cc-by-4.0"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hub:org/chats/chat.jsonl", "there is no 'chat.jsonl' in it; did you mean 'chats.jsonl'?"),
        ("hub:org/chats/mixx", "there is no 'mixx' in it; did you mean 'mix'?"),
        ("hub:org/chast@main/a", "hub:org/chast@main: not in the hub's cache, and could not be"),
        ("hub:org/chast@main/a", "; did you mean 'org/chats', which is there?"),
        ("hub:org/chats@v3/chats.jsonl", "hub:org/chats@v3: not in the hub's cache"),
        ("hub:chats", "hub:chats: expected hub:organisation/name@revision, perhaps with /path"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(cache, source, message):
    assert message in refusal(hub.fetch, source)


def test_a_part_that_the_cache_lacks_is_not_taken_for_the_whole(cache):
    """Its client notes which files a commit has; with one missing, nothing is read."""
    files = {"chats.jsonl": 1, "README.md": 1, "mix/data/no_robots-00000-of-00001.parquet": 1}
    files |= {"mix/data/mmlu-00000-of-00001.parquet": 1, "mix/data/added.parquet": 1}
    entries = {name: {"size": size, "blob_id": "0" * 40} for name, size in files.items()}
    trees = cache / "trees"
    trees.mkdir()
    content = {"format_version": 1, "files": entries}
    (trees / f"{COMMITS['main']}.json").write_text(json.dumps(content))
    assert hub.fetch("hub:org/chats/chats.jsonl").is_file()
    assert "could not be downloaded" in refusal(hub.fetch, "hub:org/chats/mix")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError, "/datasets/org/gated and set HF_TOKEN to"),
        (RepositoryNotFoundError, "or is private: then set HF_TOKEN to"),
        (RevisionNotFoundError, "no such revision"),
    ],
)
def test_what_the_hub_refuses_says_what_to_do(cache, monkeypatch, error, message):
    def refused(*_, **__):
        raise error("403 Client Error.", response=mock.MagicMock())

    monkeypatch.setattr(hub.huggingface_hub, "snapshot_download", refused)
    assert message in refusal(hub.fetch, "hub:org/gated")
    with pytest.raises(InputError, match=r"HF_TOKEN|revision") as caught:
        pretrained.find("org/gated")
    assert "datasets" not in str(caught.value)
