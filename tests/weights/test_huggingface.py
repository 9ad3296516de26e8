"""Hugging Face folders: what `transformers` saved comes back, what cannot be run is named."""

import json

import jax
import numpy as np
import peers
import pytest
import tiny
from safetensors.numpy import load_file, save_file

from vcjax.errors import InputError
from vcjax.weights import huggingface


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def saved(torch, request, tmp_path_factory):
    """(folder that `transformers` wrote, architecture, weights) of each family."""
    family = request.param
    architecture = tiny.FAMILIES[family]
    weights = tiny.weights(architecture)
    folder = tmp_path_factory.mktemp(family)
    peers.llama(weights, architecture, family).save_pretrained(folder)
    return folder, architecture, weights


@pytest.fixture
def folder(saved, tmp_path):
    """The first family's folder again, free to be changed."""
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def edit(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))


def refusal(function, folder):
    with pytest.raises(InputError) as caught:
        function(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_shape_and_weights_come_back(saved):
    folder, architecture, weights = saved
    assert huggingface.read_architecture(folder) == architecture
    read = tiny.load(huggingface.open_weights(folder), architecture)
    jax.tree.map(np.testing.assert_array_equal, read, weights)


def test_a_sharded_model_is_the_same(saved, torch, tmp_path):
    folder, architecture, weights = saved
    from transformers import AutoModelForCausalLM

    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    peer.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 2
    read = tiny.load(huggingface.open_weights(tmp_path), architecture)
    jax.tree.map(np.testing.assert_array_equal, read, weights)


def test_bfloat16_files(saved, torch, tmp_path):
    folder, architecture, weights = saved
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(tmp_path)
    read = tiny.load(huggingface.open_weights(tmp_path), architecture)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-8), read, weights)


def test_rope_as_older_files_write_it(folder):
    architecture = huggingface.read_architecture(folder)
    rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
    theta = rope.pop("rope_theta")
    older = {"type" if k == "rope_type" else k: v for k, v in rope.items()}
    edit(folder, rope_parameters="absent", rope_scaling=older, rope_theta=theta)
    assert huggingface.read_architecture(folder) == architecture


def test_rows_stay_within_a_sliding_window(folder):
    edit(folder, sliding_window=512, use_sliding_window=True)
    assert huggingface.read_architecture(folder).context_length == 512
    edit(folder, use_sliding_window=False)
    assert huggingface.read_architecture(folder).context_length == tiny.ARCHITECTURE.context_length


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "'GemmaForCausalLM'"),
        ({"architectures": None}, "'none'"),
        ({"attention_bias": True}, "attention_bias is true"),
        ({"mlp_bias": True}, "mlp_bias is true"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu"'),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "'yarn'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "'factor'"),
        ({"hidden_size": "absent"}, "'hidden_size' is missing"),
    ],
)
def test_what_cannot_be_run_is_named(folder, changes, named):
    edit(folder, **changes)
    assert named in refusal(huggingface.read_architecture, folder)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_broken_config(folder, content):
    (folder / "config.json").write_text(content)
    refusal(huggingface.read_architecture, folder)
    (folder / "config.json").unlink()
    assert "No such file" in refusal(huggingface.read_architecture, folder)


def load(folder):
    return tiny.load(huggingface.open_weights(folder), huggingface.read_architecture(folder))


def test_a_missing_tensor_is_named(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path)
    assert "'model.layers.1.mlp.up_proj.weight' is missing" in refusal(load, folder)


def test_a_tensor_of_another_shape_is_named(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] = np.ones(7, np.float32)
    save_file(tensors, path)
    assert "'model.norm.weight' is [7], expected [32]" in refusal(load, folder)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("model.layers.0.mlp.up_proj.bias", True),
        ("model.layers.2.mlp.up_proj.weight", True),  # it has two layers
        ("model.layers.0.self_attn.q_proj.weight_scale", True),
        ("lm_head.weight", False),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", False),
    ],
)
def test_a_tensor_that_the_architecture_lacks_is_named(folder, name, refused):
    path = folder / "model.safetensors"
    save_file(load_file(path) | {name: np.ones(7, np.float32)}, path)
    edit(folder, tie_word_embeddings=True)
    if refused:
        assert f"tensor '{name}' is no weight of the architecture" in refusal(load, folder)
    else:
        load(folder)


def test_quantised_weights_are_named(folder):
    path, name = folder / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    tensors = load_file(path)
    save_file(tensors | {name: np.ones_like(tensors[name], np.int8)}, path)
    assert f"tensor '{name}' is I8, expected one of BF16" in refusal(load, folder)


def test_files_that_are_none(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    assert "not a readable .safetensors file" in refusal(load, folder)
    path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "pickle" in refusal(load, folder)


def test_an_index_stays_in_its_folder(folder):
    outside = {"weight_map": {"model.norm.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(outside))
    assert "not in the folder" in refusal(load, folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_is_named(folder, value):
    path, name = folder / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    tensors = load_file(path)
    tensors[name][3, 5] = value
    save_file(tensors, path)
    assert f"tensor '{name}' holds NaN or infinity" in refusal(load, folder)
