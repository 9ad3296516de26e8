"""Adapters go to `peft` and come from it with the same logits; what ours cannot do is refused."""

import hashlib
import json
import shutil

import jax
import ml_dtypes
import numpy as np
import peers
import pytest
import tiny
from safetensors.numpy import load_file, save_file

from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.weights import huggingface
from vcjax.weights import peft as peft_files

LORA = LoRA(rank=4, alpha=6.0)
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FAMILIES = ("llama3", "qwen2", "qwen3", "nemo", "granite", "olmo3", "gemma3", "smollm3")
MIXTURE = tiny.FAMILIES["qwen3_moe"]


def untouched(architecture=tiny.ARCHITECTURE, lora=LORA):
    return transformer.init_adapter(tiny.model(architecture, lora), jax.random.key(0))


def their_adapter(
    folder, architecture=tiny.ARCHITECTURE, family="llama", targets=SEVEN, **settings
):
    """A model with a random adapter of `peft`'s own making, which is saved in `folder`."""
    import peft
    import torch

    base = peers.llama(tiny.weights(architecture), architecture, family)
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM", **settings
    )
    torch.manual_seed(0)
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model


def their_logits(model, batch):
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(batch["tokens"]).long()).logits.numpy()


def our_logits(params, batch, architecture=tiny.ARCHITECTURE, lora=LORA):
    return np.asarray(
        tiny.logits(params, tiny.weights(architecture), batch, tiny.model(architecture, lora))
    )


@pytest.fixture(scope="module")
def document():
    """A batch of one document."""
    return tiny.documents(tiny.batch(rows=1, length=40))[0]


@pytest.fixture(scope="module")
def saved(torch, tmp_path_factory):
    """(folder, model) of an adapter that `peft` made for the tiny model; tests copy it."""
    folder = tmp_path_factory.mktemp("adapter")
    return folder, their_adapter(folder)


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "adapter")
    return tmp_path / "adapter"


def read(folder, lora=LORA):
    return peft_files.read_adapter(folder, tiny.model(lora=lora), untouched())


@pytest.mark.parametrize("family", FAMILIES)
def test_theirs_come_in(torch, family, document, tmp_path):
    architecture = tiny.FAMILIES[family]
    model = their_adapter(tmp_path, architecture, family)
    params = peft_files.read_adapter(
        tmp_path, tiny.model(architecture, LORA), untouched(architecture)
    )
    ours = our_logits(params, document, architecture)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)
    base = our_logits(untouched(architecture), document, architecture)
    assert np.abs(ours - base).max() > 0.5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alpha", [6.0, 2.5])
def test_ours_go_out(torch, family, alpha, document, tmp_path):
    import peft

    architecture, lora = tiny.FAMILIES[family], LoRA(4, alpha)
    params = tiny.randomized(untouched(architecture), std=0.2)
    peft_files.write_adapter(tmp_path, params["adapter"], lora, "organisation/model", "abc")
    base = peers.llama(tiny.weights(architecture), architecture, family)
    model = peft.PeftModel.from_pretrained(base, tmp_path)
    ours = our_logits(params, document, architecture, lora)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)

    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, alpha)
    assert (config.base_model_name_or_path, config.revision) == ("organisation/model", "abc")
    layer = model.base_model.model.model.layers[1].mlp.down_proj
    assert layer.scaling["default"] == alpha / 4


@pytest.fixture(scope="module")
def with_eyes(torch):
    """(A multimodal Gemma 3, the architecture of its text model)."""
    architecture = tiny.FAMILIES["gemma3"]
    return peers.multimodal(tiny.weights(architecture), architecture), architecture


def test_an_adapter_of_a_text_model_goes_to_the_multimodal_base_and_comes_from_it(
    with_eyes, document, tmp_path
):
    import peft

    base, architecture = with_eyes
    params = tiny.randomized(untouched(architecture), std=0.2)
    inside = huggingface.FAMILIES["gemma3"].inside
    peft_files.write_adapter(tmp_path, params["adapter"], LORA, None, inside=inside)
    model = peft.PeftModel.from_pretrained(base, tmp_path)
    adapted = {name for name, _ in model.named_modules() if name.endswith("lora_A.default")}
    assert len(adapted) == 7 * architecture.num_layers, "none in the vision tower"
    ours = our_logits(params, document, architecture)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)

    model.save_pretrained(tmp_path / "theirs")
    again = peft_files.read_adapter(
        tmp_path / "theirs", tiny.model(architecture, LORA), untouched(architecture)
    )
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_of_a_mixture_theirs_come_in(torch, document, tmp_path):
    model = their_adapter(tmp_path, MIXTURE, "qwen3_moe", targets=SEVEN[:4])
    start = untouched(MIXTURE)
    params = peft_files.read_adapter(tmp_path, tiny.model(MIXTURE, LORA), start)
    ours = our_logits(params, document, MIXTURE)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)
    assert np.abs(ours - our_logits(start, document, MIXTURE)).max() > 0.5


@pytest.mark.parametrize("on_experts", [False, True])
def test_of_a_mixture_ours_go_out_and_come_in(torch, on_experts, document, tmp_path):
    import peft

    lora = LoRA(4, 6.0, experts=on_experts)
    start = untouched(MIXTURE, lora)
    params = tiny.randomized(start, std=0.2)
    assert sorted(params["adapter"]) == sorted(MIXTURE.adapted(lora))
    size = sum(x.size for x in jax.tree.leaves(params))
    assert size == MIXTURE.num_adapter_params(lora)
    peft_files.write_adapter(tmp_path, params["adapter"], lora, "organisation/model")
    base = peers.llama(tiny.weights(MIXTURE), MIXTURE, "qwen3_moe")
    model = peft.PeftModel.from_pretrained(base, tmp_path)
    ours = our_logits(params, document, MIXTURE, lora)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)
    again = peft_files.read_adapter(tmp_path, tiny.model(MIXTURE, lora), start)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_adapters_of_experts_where_none_are_wanted(tmp_path):
    lora = LoRA(4, 6.0, experts=True)
    params = untouched(MIXTURE, lora)["adapter"]
    peft_files.write_adapter(tmp_path, params, lora, "organisation/model")
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"target_modules": ".*_proj"}))
    with pytest.raises(InputError, match=r"set recipe\(lora_experts=True\)") as caught:
        peft_files.read_adapter(tmp_path, tiny.model(MIXTURE, LORA), untouched(MIXTURE))
    assert "\n" not in str(caught.value)


def test_the_files_are_those_that_peft_writes(saved, tmp_path):
    import peft

    params = untouched()["adapter"]
    peft_files.write_adapter(tmp_path, params, LORA, "organisation/model")
    ours, theirs = load_file(tmp_path / WEIGHTS), load_file(saved[0] / WEIGHTS)
    assert {n: (t.shape, t.dtype) for n, t in ours.items()} == {
        n: (t.shape, t.dtype) for n, t in theirs.items()
    }
    ours, theirs = (peft.PeftConfig.from_pretrained(f).to_dict() for f in (tmp_path, saved[0]))
    named = {"base_model_name_or_path": "organisation/model"}
    assert ours == theirs | named | {"target_modules": ours["target_modules"]}
    assert set(ours["target_modules"]) == set(SEVEN) == set(theirs["target_modules"])


def test_out_and_in_again_it_is_the_same(tmp_path):
    params = tiny.randomized(untouched())
    peft_files.write_adapter(tmp_path, params["adapter"], LORA, "base")
    again = peft_files.read_adapter(tmp_path, tiny.model(lora=LORA), untouched())
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], r".*\.1\.mlp\.(up|down)_proj"])
def test_modules_that_it_lacks_add_nothing(torch, targets, document, tmp_path):
    model = their_adapter(tmp_path, targets=targets)
    params = read(tmp_path)
    ours = our_logits(params, document)
    np.testing.assert_allclose(ours, their_logits(model, document), atol=1e-4)
    start = untouched()["adapter"]["k"]
    jax.tree.map(np.testing.assert_array_equal, params["adapter"]["k"], start)


@pytest.mark.parametrize("layers", [[1], 0])
def test_an_adapter_on_some_layers(torch, layers, document, tmp_path):
    model = their_adapter(tmp_path, layers_to_transform=layers)
    np.testing.assert_allclose(
        our_logits(read(tmp_path), document), their_logits(model, document), atol=1e-4
    )


def test_options_that_change_nothing_here(folder):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"ensure_weight_tying": True}))
    assert read(folder)


def change_weights(folder, change):
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def test_names_may_carry_the_adapters_name(folder):
    expected = read(folder)
    change_weights(
        folder, lambda ts: {n.replace(".weight", ".default.weight"): t for n, t in ts.items()}
    )
    jax.tree.map(np.testing.assert_array_equal, read(folder), expected)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_becomes_float32(folder, kind):
    dtype = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[kind]
    exact = read(folder)
    change_weights(folder, lambda ts: {n: t.astype(dtype) for n, t in ts.items()})
    expected = jax.tree.map(lambda x: x.astype(dtype).astype(np.float32), exact)
    half = read(folder)
    assert {x.dtype for x in jax.tree.leaves(half)} == {np.dtype(np.float32)}
    jax.tree.map(np.testing.assert_array_equal, half, expected)


REFUSED = {
    "use_dora": (True, "use_dora is true, which is not supported"),
    "use_rslora": (True, "use_rslora is true"),
    "lora_bias": (True, "lora_bias is true"),
    "fan_in_fan_out": (True, "fan_in_fan_out is true"),
    "modules_to_save": (["lm_head"], r'modules_to_save is \["lm_head"\]'),
    "bias": ("all", 'bias is "all", which is not supported; only "none" is'),
    "rank_pattern": ({"q_proj": 8}, r'rank_pattern is \{"q_proj": 8\}'),
    "alpha_pattern": ({"q_proj": 8}, "alpha_pattern is"),
    "layers_to_transform": ([0], r"layers_to_transform is \[0\]"),
    "trainable_token_indices": ([1], "trainable_token_indices is"),
    "init_lora_weights": ("pissa", 'init_lora_weights is "pissa"'),
    "peft_type": ("IA3", 'peft_type is "IA3", which is not supported; only "LORA" is'),
    "an_option_to_come": (True, "an_option_to_come is true"),
    "target_modules": (["q_proj", "lm_head"], "target_modules has 'lm_head'; .* only q_proj, k_pr"),
    "r": (0, "r is 0 and lora_alpha 6; expected a whole number and a number, above 0"),
    "lora_alpha": ("16", 'r is 4 and lora_alpha "16"; expected'),
}


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"projection_prng_key": 0, "peft_type": "VERA"}, '"VERA", which is not supported'),
        ({"feedforward_modules": ["down_proj"], "peft_type": "IA3"}, '"IA3", which is not'),
        ({"module_dropout": 0.5, "alpha": 8, "peft_type": "LOHA"}, '"LOHA", which is not'),
        ({"fine_tune_type": "lora", "num_layers": 16}, "missing, as in adapters .*mlx-lm"),
    ],
)
def test_an_adapter_of_another_kind_is_named_by_it(folder, config, named):
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match=rf'{CONFIG}: peft_type is {named}.*; only "LORA" is'):
        read(folder)


def test_targets_that_are_no_names(folder):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"target_modules": [3]}))
    with pytest.raises(InputError, match="target_modules has 3"):
        read(folder)


@pytest.mark.parametrize("key", REFUSED)
def test_an_option_that_ours_lack(folder, key):
    value, message = REFUSED[key]
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {key: value}))
    with pytest.raises(InputError, match=message) as error:
        peft_files.lora_of(folder)
        read(folder)
    assert str(error.value).startswith(f"{folder / CONFIG}: ")


Q_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
HEAD = "base_model.model.lm_head.lora_A.weight"
BAD_WEIGHTS = {
    "of another width": (
        lambda ts: ts | {Q_A: ts[Q_A][:, :-1].copy()},
        r"is float32\[4, 31\]; expected floats \[4, 32\]",
    ),
    "of another rank": (lambda ts: ts | {Q_A: ts[Q_A][:-1].copy()}, r"is float32\[3, 32\]"),
    "whole numbers": (lambda ts: ts | {Q_A: ts[Q_A].astype(np.int32)}, r"is int32\[4, 32\]"),
    "one without its other half": (
        lambda ts: {n: t for n, t in ts.items() if n != Q_A},
        f"tensor '{Q_A}' is missing",
    ),
    "on the head": (lambda ts: ts | {HEAD: ts[Q_A]}, f"'{HEAD}' is none of LoRA on q_proj"),
    "of a layer too many": (
        lambda ts: ts | {Q_A.replace("layers.0", "layers.2"): ts[Q_A]},
        "the model has 2 layers",
    ),
    "none": (lambda ts: {}, "there is no tensor in it"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_weights_that_do_not_fit(folder, case):
    change, message = BAD_WEIGHTS[case]
    change_weights(folder, change)
    with pytest.raises(InputError, match=message) as error:
        peft_files.lora_of(folder)
        read(folder)
    assert str(error.value).startswith(f"{folder / WEIGHTS}: ")


def test_files_that_are_not_there(folder, tmp_path):
    with pytest.raises(InputError, match="give the folder of an adapter"):
        read(tmp_path)
    with pytest.raises(InputError, match="give the folder of a peft LoRA adapter"):
        peft_files.identity(tmp_path)
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(InputError, match=r"adapter_model\.bin: it is a pickle"):
        read(folder)


def test_rank_and_alpha_are_its_own(folder):
    assert peft_files.lora_of(folder) == LORA


@pytest.mark.parametrize(
    "model", ["org/Tiny-8B", "org/tiny-8b@main", "a/tiny-8b/", "t/Tiny-8B.Q4.gguf"]
)
def test_its_own_base_by_other_names(folder, model):
    peft_files.write_adapter(folder, untouched()["adapter"], LORA, "Org/Tiny-8B")
    assert peft_files.other_base(folder, model) is None


@pytest.mark.parametrize("model", ["org/tiny-8b-instruct", "tiny-8b/main", "tiny-80b.gguf"])
def test_another_base_of_the_same_shape(folder, model):
    peft_files.write_adapter(folder, untouched()["adapter"], LORA, "Org/Tiny-8B")
    assert peft_files.other_base(folder, model) == "Org/Tiny-8B"


@pytest.mark.parametrize("named", [None, "", 5])
def test_an_adapter_that_names_no_base(folder, named):
    peft_files.write_adapter(folder, untouched()["adapter"], LORA, named)
    assert peft_files.other_base(folder, "org/tiny-8b") is None


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_the_identity_is_of_both_files(folder, name):
    before = peft_files.identity(folder)
    assert len(before) == 64 and before == peft_files.identity(folder)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert peft_files.identity(folder) != before


def test_the_identity_is_the_one_in_the_fingerprints_of_earlier_runs(folder):
    digests = (hashlib.sha256((folder / name).read_bytes()).digest() for name in (CONFIG, WEIGHTS))
    assert peft_files.identity(folder) == hashlib.sha256(b"".join(digests)).hexdigest()


def test_a_tensor_that_is_not_finite_is_named(folder):
    path = folder / WEIGHTS
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name] = np.array(tensors[name])
    tensors[name][0, 0] = np.nan
    save_file(tensors, path)
    with pytest.raises(InputError, match="holds NaN or infinity") as caught:
        read(folder)
    assert name in str(caught.value)
