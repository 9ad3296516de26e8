"""Uploads, to a stand-in for the hub that runs here."""

import hub_server
import pytest
from huggingface_hub import constants

from vcjax.errors import InputError
from vcjax.weights import hub_upload

TOKEN = "hf_of_a_test"


@pytest.fixture
def hub(monkeypatch):
    with hub_server.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("---\nlicense: mit\n---\n\n# A model\n")
    (tmp_path / "out" / "weights.bin").write_bytes(b"\0\1\2")
    return tmp_path / "out"


def test_a_folder_becomes_a_private_repository_in_one_commit(hub, folder, capsys):
    hub_upload.check(["me/mine"])
    assert not hub.repositories, "a check makes nothing"
    url = hub_upload.upload(folder, "me/mine")
    assert url == f"{hub.url}/me/mine"
    files = hub.repositories["me/mine"]
    assert {name: files[name] for name in ("README.md", "weights.bin")} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert hub.private == {"me/mine": True}
    assert hub.tokens - {None} == {f"Bearer {TOKEN}"}
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err


def test_a_repository_that_holds_something_is_left_alone(hub, folder):
    hub_upload.upload(folder, "me/mine")
    with pytest.raises(InputError, match=r"--push=me/mine: it exists and holds .* another name"):
        hub_upload.check(["me/other", "me/mine"])
    hub.repositories["me/mine"] = {".gitattributes": b""}
    hub_upload.check(["me/mine"])


@pytest.mark.parametrize("name", ["mine", "a/b/c", "me/", "me/my model", "me/käse", "me/a--b", ""])
def test_a_name_that_cannot_be_one(hub, name):
    with pytest.raises(InputError, match="cannot name a repository; expected organisation/name"):
        hub_upload.check([name])
    assert not hub.tokens


def test_without_a_token(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(InputError, match="--push: no token; set HF_TOKEN"):
        hub_upload.check(["me/mine"])


def test_an_upload_that_fails_says_how_to_do_it_again(hub, folder):
    hub.refuse = {"/commit/main": 403}
    with pytest.raises(InputError, match=rf"hf upload me/mine {folder}") as error:
        hub_upload.upload(folder, "me/mine")
    assert TOKEN not in str(error.value) and "\n" not in str(error.value)


def test_nobody_answers(monkeypatch, hub):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="--push=me/mine: "):
        hub_upload.check(["me/mine"])
