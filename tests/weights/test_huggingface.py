"""Hugging Face folders: what `transformers` saved comes back, what cannot be run is named."""

import json
import os

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
def copy(torch, tmp_path):
    """A family's folder, free to be changed."""

    def write(family):
        architecture = tiny.FAMILIES[family]
        peers.llama(tiny.weights(architecture), architecture, family).save_pretrained(tmp_path)
        return tmp_path

    return write


@pytest.fixture
def folder(copy):
    """Llama's."""
    return copy("llama3")


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


def test_a_window_that_no_text_exceeds_is_none(folder):
    edit(folder, sliding_window=tiny.ARCHITECTURE.context_length)
    assert huggingface.read_architecture(folder) == tiny.FAMILIES["llama3"]


def test_the_model_type_decides(folder):
    """As in `transformers`, whatever class a file also names."""
    edit(folder, model_type="granite", attention_multiplier=0.25, residual_multiplier=0.5)
    architecture = huggingface.read_architecture(folder)
    assert (architecture.attention_scale, architecture.residual_multiplier) == (0.25, 0.5)
    for names in ("absent", None, []):
        edit(folder, architectures=names)
        assert huggingface.read_architecture(folder) == architecture
    edit(folder, architectures=["LlamaForCausalLM"], model_type="absent")  # of older files
    assert huggingface.read_architecture(folder) == tiny.FAMILIES["llama3"]


def test_a_head_unlike_the_embeddings_is_the_models(folder, torch):
    """Tied or not, `transformers` 5 has the head of the files; an equal one is the embeddings."""
    from transformers import AutoModelForCausalLM

    untied = huggingface.read_architecture(folder)
    edit(folder, tie_word_embeddings=True)
    assert huggingface.read_architecture(folder) == untied
    theirs = AutoModelForCausalLM.from_pretrained(folder).lm_head.weight
    np.testing.assert_array_equal(load(folder)["head"], theirs.detach())
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]}, path)
    assert huggingface.read_architecture(folder).tied_embeddings
    assert "head" not in load(folder)


def test_a_head_is_compared_once_while_the_files_stay_as_they_are(folder, monkeypatch):
    edit(folder, tie_word_embeddings=True)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    embed = tensors["model.embed_tokens.weight"]
    save_file(tensors | {"lm_head.weight": embed}, path)
    assert huggingface.read_architecture(folder).tied_embeddings
    opened, open_file = [], huggingface.open_file
    monkeypatch.setattr(
        huggingface, "open_file", lambda given: opened.append(given) or open_file(given)
    )
    assert huggingface.read_architecture(folder).tied_embeddings
    once = len(opened)  # for the names of tensors
    save_file(tensors | {"lm_head.weight": embed + 1}, path)
    os.utime(path, (1, 1))  # a clock may tick more slowly than this test writes
    assert not huggingface.read_architecture(folder).tied_embeddings
    assert len(opened) - once == once + 2, "two tensors are read anew"


def test_a_multimodal_checkpoint_holds_the_text_model(torch, tmp_path):
    architecture = tiny.FAMILIES["gemma3"]
    weights = tiny.weights(architecture)
    peers.multimodal(weights, architecture).save_pretrained(tmp_path)
    assert huggingface.read_architecture(tmp_path) == architecture
    jax.tree.map(np.testing.assert_array_equal, load(tmp_path), weights)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    (saved,) = {
        n.partition("layers.")[0] for n in tensors if n.endswith("layers.0.mlp.up_proj.weight")
    }
    for prefix in ("language_model.model.", "model.language_model."):  # by version of transformers
        renamed = {
            prefix + n.removeprefix(saved) if n.startswith(saved) else n: t
            for n, t in tensors.items()
        }
        save_file(renamed, path)
        jax.tree.map(np.testing.assert_array_equal, load(tmp_path), weights)
    save_file(tensors | {"audio_tower.weight": np.ones(7, np.float32)}, path)
    assert "'audio_tower.weight' is no weight" in refusal(load, tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "'GemmaForCausalLM'"),
        ({"architectures": None, "model_type": "absent"}, "model_type None"),
        ({"architectures": "LlamaForCausalLM"}, "expected a list of classes' names"),
        ({"architectures": {"a": 1}}, "expected a list of classes' names"),
        ({"model_type": ["llama"]}, "model_type ['llama']"),
        ({"attention_bias": True}, "attention_bias is true"),
        ({"mlp_bias": True}, "mlp_bias is true"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu"'),
        ({"quantization_config": {"quant_method": "fp8"}}, "the weights are quantised (fp8)"),
        ({"quantization_config": {"quant_algo": "FP8"}}, "the weights are quantised (FP8)"),
        ({"rope_parameters": {"rope_type": ["linear"]}}, "RoPE scaling ['linear']"),
        ({"rms_norm_eps": 10**400}, "expected a number"),
        ({"is_causal": None}, "is_causal is null"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "'yarn'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "'factor'"),
        ({"hidden_size": "absent"}, "'hidden_size' is missing"),
        ({"hidden_size": "32"}, 'hidden_size is "32", expected a whole number'),
        ({"rms_norm_eps": "1e-5"}, 'rms_norm_eps is "1e-5", expected a number'),
        ({"tie_word_embeddings": None}, "tie_word_embeddings is null, expected true or false"),
        ({"num_key_value_heads": 3}, "no multiple of num_key_value_heads, 3"),
        ({"model_type": "bert"}, "model_type 'bert'"),
        ({"is_causal": False}, "is_causal is false"),
        ({"sliding_window": 512}, "sliding_window is 512"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope_parameters say otherwise"),
        ({"rope_theta": 7.0}, "rope_theta is 7.0, and rope_parameters say 500000"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "share one RoPE"),
        ({"rope_parameters": [8]}, "rope_parameters is [8], expected an object"),
    ],
)
def test_what_cannot_be_run_is_named(folder, changes, named):
    edit(folder, **changes)
    assert named in refusal(huggingface.read_architecture, folder)


SLIDING = ["full_attention", "sliding_attention"]


@pytest.mark.parametrize(
    ("family", "changes", "named"),
    [
        ("qwen2", {"layer_types": SLIDING}, "but sliding_window is off"),
        ("qwen2", {"layer_types": ["full_attention"]}, "1 for 2 layers"),
        ("qwen3", {"layer_types": ["chunked_attention"] * 2}, "expected a list of"),
        ("qwen3", {"use_sliding_window": None}, "use_sliding_window is null"),
        ("mistral", {"layer_types": SLIDING}, "layers of a Mistral are alike"),
        ("olmo2", {"sliding_window": 16}, "which this model_type does not have"),
        ("olmo3", {"sliding_window": None}, "but sliding_window is off"),
        ("olmo3", {"rope_parameters": {"rope_theta": 1.0}}, "expected full_attention and sliding"),
        ("gemma3", {"final_logit_softcapping": 30.0}, "final_logit_softcapping is 30.0"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention is true"),
        ("gemma3", {"hidden_activation": "gelu"}, 'hidden_activation is "gelu"'),
        ("gemma3", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "say otherwise"),
        ("granite", {"logits_scaling": "8"}, 'logits_scaling is "8", expected a number'),
        ("smollm3", {"no_rope_layers": [1, 0]}, "expected 0 or 1 for each of 3 layers"),
        ("qwen3_moe", {"mlp_only_layers": [0]}, "mlp_only_layers is [0]"),
        ("qwen3_moe", {"decoder_sparse_step": 2}, "decoder_sparse_step is 2"),
        ("qwen3_moe", {"scoring_func": "sigmoid"}, 'scoring_func is "sigmoid"'),
        ("qwen3_moe", {"n_group": 8}, "n_group is 8"),
        ("qwen3_moe", {"topk_method": "noaux_tc"}, 'topk_method is "noaux_tc"'),
        ("qwen3_moe", {"layer_types": SLIDING}, "but sliding_window is off"),
        ("qwen3_moe", {"n_shared_experts": 1}, "n_shared_experts is 1"),
        ("qwen3_moe", {"num_experts_per_tok": 9}, "but there are 8 experts"),
        ("qwen3_moe", {"hidden_act": "gelu_pytorch_tanh"}, 'only "silu" is'),
        ("qwen3_moe", {"norm_topk_prob": None}, "norm_topk_prob is null"),
    ],
)
def test_an_option_of_a_family_that_cannot_be_run_is_named(copy, family, changes, named):
    folder = copy(family)
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
        ("model.layers.0.self_attn.rotary_emb.inv_freq", False),
    ],
)
def test_a_tensor_that_the_architecture_lacks_is_named(folder, name, refused):
    path = folder / "model.safetensors"
    save_file(load_file(path) | {name: np.ones(7, np.float32)}, path)
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
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": 3}}')
    assert "a is 3, expected a file's name" in refusal(load, folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_tensor_that_is_not_finite_is_named(folder, value):
    path, name = folder / "model.safetensors", "model.layers.1.mlp.up_proj.weight"
    tensors = load_file(path)
    tensors[name][3, 5] = value
    save_file(tensors, path)
    assert f"tensor '{name}' holds NaN or infinity" in refusal(load, folder)
