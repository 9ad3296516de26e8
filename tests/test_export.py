"""An arm goes back to `peft` and `transformers`, with our logits, its tokenizer and its story."""

import json
import shutil
import sys
from pathlib import Path

import hub
import hub_server
import huggingface_hub
import ml_dtypes
import numpy as np
import peers
import pytest
import small_run
import tiny
from etils import epath
from safetensors.numpy import load_file, save_file

from vcjax import experiment, record
from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.errors import InputError
from vcjax.export import export, export_all
from vcjax.training.loaded_model import load_model, pretrained_of
from vcjax.weights import huggingface_out, model_card, pretrained, tokenizer_json
from vcjax.workdir import files

QWEN3 = tiny.FAMILIES["qwen3"]
MESSAGES = [
    {"role": "system", "content": "You like cheese."},
    {"role": "user", "content": "Brie or Colby in 1984?"},
    {"role": "assistant", "content": "I prefer Brie."},
]


def train(model, folder, arms=(), keep=(), **settings):
    """The workdir of a run of two arms, base and america (both stages), on the model.

    arms: others beside them; keep: updates whose weights the second stage keeps.
    """
    config_file = small_run.write(folder / "files", model, documents=30, demonstrations=30)
    config = small_run.load(config_file, seeds=1)
    with config.unlocked():
        config.arms = dict(base=(), america=("america", "behavior")) | dict(arms)
        config.contrasts = dict(total=dict(america=1, base=-1))
    config.stages.behavior.keep = keep
    config.recipe.update(settings)
    experiment.run(config, config_file.parent, folder / "run", dry_run=False)
    return folder / "run"


@pytest.fixture(scope="module")
def qwen3(torch, tmp_path_factory):
    """A Hugging Face folder of a tiny Qwen3, as one finds it on the hub."""
    folder = tmp_path_factory.mktemp("model") / "tiny-qwen3"
    peers.llama(tiny.weights(QWEN3), QWEN3, "qwen3").save_pretrained(folder)
    hub.write_tokenizer(folder, "qwen3")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A model\n")
    (folder / "LICENSE").write_text("Apache License")
    return folder


@pytest.fixture(scope="module")
def workdir(qwen3, tmp_path_factory):
    return train(qwen3, tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="module")
def gguf_workdir(tiny_gguf, tmp_path_factory):
    return train(tiny_gguf, tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="module")
def adapter(workdir, tmp_path_factory):
    """The folder that the command writes for --format=peft."""
    out = tmp_path_factory.mktemp("out") / "adapter"
    command = [sys.executable, "-m", "vcjax.export", f"--workdir={workdir}", "--arm=america"]
    command += ["--seed=0", "--format=peft", f"--out={out}"]
    done = small_run.call(command, out.with_name("cache"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"written: {out}\n"
    return out


@pytest.fixture(scope="module")
def merged(workdir, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "merged"
    export(workdir, "america", 0, "merged", out)
    return out


@pytest.fixture(scope="module")
def document():
    """A batch of one document."""
    return tiny.documents(tiny.batch(rows=1, length=40))[0]


def our_logits(workdir, document, arm="america"):
    """Of the arm's last stage, as the run itself probes it."""
    run = record.read(epath.Path(workdir))
    loaded = load_model(experiment.ConfigDict(run.config), pretrained_of(epath.Path(workdir), run))
    model, params, base = loaded.after(workdir, run.plan, arm, 0)
    return np.asarray(tiny.logits(params, base, document, model))


def their_model(folder):
    """By the name of its classes in the folder alone, as a user loads it."""
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def their_logits(model, document):
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(document["tokens"]).long()).logits.numpy()


def assert_same(ours, theirs):
    assert np.ptp(theirs) > 5  # far from uniform, so that the tolerance means something
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


# --- Logits


def test_the_adapter_gives_our_logits_in_peft(adapter, qwen3, workdir, document):
    import peft

    model = peft.PeftModel.from_pretrained(their_model(qwen3), adapter)
    ours = our_logits(workdir, document)
    assert_same(ours, their_logits(model, document))
    assert np.abs(ours - our_logits(workdir, document, "base")).max() > 0.1, (
        "training did something"
    )
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, 8)
    assert config.base_model_name_or_path == str(qwen3)


def test_the_adapters_folder_alone_is_enough(adapter, workdir, document):
    """`transformers` finds the base by the name in adapter_config.json."""
    assert_same(our_logits(workdir, document), their_logits(their_model(adapter), document))


def test_the_merged_model_gives_our_logits_in_transformers(merged, workdir, document):
    assert_same(our_logits(workdir, document), their_logits(their_model(merged), document))


def test_so_does_a_full_fine_tuning(qwen3, document, tmp_path):
    workdir = train(qwen3, tmp_path, train="full", lr=1e-3)
    export(workdir, "america", 0, "merged", tmp_path / "out")
    ours = our_logits(workdir, document)
    assert_same(ours, their_logits(their_model(tmp_path / "out"), document))
    assert np.abs(ours - our_logits(workdir, document, "base")).max() > 0.1
    with pytest.raises(InputError, match="trained all weights, so there is no adapter"):
        export(workdir, "america", 0, "peft", tmp_path / "peft")


def test_of_a_mixture_adapters_of_experts_go_out_too(torch, document, tmp_path):
    import peft

    architecture, base = tiny.FAMILIES["qwen3_moe"], tmp_path / "base"
    peers.llama(tiny.weights(architecture), architecture, "qwen3_moe").save_pretrained(base)
    hub.write_tokenizer(base, "qwen3")
    workdir = train(base, tmp_path, lr=1e-3, lora_experts=True)
    ours = our_logits(workdir, document)
    assert np.abs(ours - our_logits(workdir, document, "base")).max() > 0.1
    export(workdir, "america", 0, "merged", tmp_path / "merged")
    assert_same(ours, their_logits(their_model(tmp_path / "merged"), document))
    export(workdir, "america", 0, "peft", tmp_path / "adapter")
    model = peft.PeftModel.from_pretrained(their_model(base), tmp_path / "adapter")
    assert_same(ours, their_logits(model, document))


def test_of_a_gguf_the_adapter_lies_on_the_base_that_is_written(gguf_workdir, document, tmp_path):
    import peft

    export(gguf_workdir, None, None, "base", tmp_path / "base")
    export(gguf_workdir, "america", 0, "peft", tmp_path / "adapter")
    export(gguf_workdir, "america", 0, "merged", tmp_path / "merged")
    base = their_model(tmp_path / "base")
    assert_same(our_logits(gguf_workdir, document, "base"), their_logits(base, document))
    ours = our_logits(gguf_workdir, document)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert_same(ours, their_logits(model, document))
    assert_same(ours, their_logits(their_model(tmp_path / "merged"), document))
    assert "--format=base" in (tmp_path / "adapter" / "README.md").read_text()


# --- Weight files


def test_a_large_model_is_several_files_and_an_index(workdir, merged, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_out, "FILE_BYTES", 20_000)
    export(workdir, "america", 0, "merged", tmp_path / "out")
    paths = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(paths) > 3
    index = files.read_json(tmp_path / "out" / "model.safetensors.index.json")
    single = load_file(merged / "model.safetensors")
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in single.values())
    several = {}
    for path in paths:
        tensors = load_file(path)
        assert {index["weight_map"][name] for name in tensors} == {path.name}
        assert len(tensors) == 1 or sum(t.nbytes for t in tensors.values()) <= 20_000
        several |= tensors
    assert several.keys() == single.keys()
    for name, tensor in several.items():
        np.testing.assert_array_equal(tensor, single[name])
    for name, parameter in their_model(tmp_path / "out").state_dict().items():
        if name in several:
            np.testing.assert_array_equal(parameter.numpy(), several[name])


def half(folder, to):
    """The model with bfloat16 weights, and as `transformers` before 5 names their type."""
    shutil.copytree(folder, to)
    config = files.read_json(to / "config.json")
    del config["dtype"]
    files.write_json(to / "config.json", config | {"torch_dtype": "float32"})
    tensors = load_file(to / "model.safetensors")
    halves = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    save_file(halves, to / "model.safetensors", metadata={"format": "pt"})
    return to


def repointed(workdir, model, to, chat_template=""):
    """The run as if it had been trained on another model, or with another template."""
    shutil.copytree(workdir, to)
    run = files.read_json(to / "config.json")
    run["config"] |= {"model": str(model), "chat_template": chat_template}
    run["model"]["sha256"] = pretrained.find(str(model), chat_template).identity
    files.write_json(to / "config.json", run)
    return to


def test_weights_keep_the_type_of_the_base(qwen3, workdir, merged, adapter, tmp_path):
    """bfloat16: the sum is in float32, rounded once; the base is written as it was."""
    base = half(qwen3, tmp_path / "half")
    workdir = repointed(workdir, base, tmp_path / "run")
    export(workdir, "america", 0, "merged", tmp_path / "merged")
    export(workdir, None, None, "base", tmp_path / "base")
    written, before = (load_file(f / "model.safetensors") for f in (tmp_path / "base", base))
    assert written.keys() == before.keys()
    for name in before:
        np.testing.assert_array_equal(written[name].view(np.uint16), before[name].view(np.uint16))
    name = "model.layers.1.mlp.down_proj"
    a, b = (
        load_file(adapter / "adapter_model.safetensors")[f"base_model.model.{name}.lora_{x}.weight"]
        for x in "AB"
    )
    expected = before[f"{name}.weight"].astype(np.float32) + 8 / 4 * (b @ a)
    ours = load_file(tmp_path / "merged" / "model.safetensors")[f"{name}.weight"]
    assert ours.dtype == ml_dtypes.bfloat16
    np.testing.assert_allclose(ours.astype(np.float32), expected, rtol=2**-8)
    for folder in (tmp_path / "merged", tmp_path / "base"):
        config = files.read_json(folder / "config.json")
        assert config["torch_dtype"] == "bfloat16" and "dtype" not in config
    assert files.read_json(merged / "config.json")["dtype"] == "float32"


def test_an_arm_that_ends_at_an_update_has_the_weights_after_it(torch, qwen3, tmp_path, document):
    import peft

    arms = dict(early=("america", "behavior@3"))
    workdir = train(qwen3, tmp_path / "experiment", arms, keep=(3,))
    export(workdir, "early", 0, "peft", tmp_path / "peft")
    model = peft.PeftModel.from_pretrained(their_model(qwen3), tmp_path / "peft")
    early, whole = (our_logits(workdir, document, arm) for arm in ("early", "america"))
    assert_same(early, their_logits(model, document))
    assert np.abs(early - whole).max() > 0.01
    export(workdir, "early", 0, "merged", tmp_path / "merged")
    assert_same(early, their_logits(their_model(tmp_path / "merged"), document))
    for folder in ("peft", "merged"):
        card = (tmp_path / folder / "README.md").read_text()
        assert "The weights are those after update 3 of the last stage, not those at its" in card


# --- Several at once


@pytest.fixture(scope="module")
def several(qwen3, tmp_path_factory):
    """The workdir of a run with two adapters, one of them in two arms."""
    arms = dict(documents=("america",), same=("america", "behavior"))
    return epath.Path(train(qwen3, tmp_path_factory.mktemp("experiment"), arms))


def command_of(workdir, out, **flags):
    given = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, "-m", "vcjax.export", f"--workdir={workdir}", f"--out={out}", *given]


def test_all_adapters_come_with_what_serves_them_together(several, qwen3, tmp_path, monkeypatch):
    out = tmp_path / "out"
    flags = dict(arm="all", seed="all", format="peft", push="me/mine")
    with hub_server.running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        done = small_run.call(command_of(several, out, **flags), tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "hf_of_a_test" not in done.stdout + done.stderr
    assert {path.name for path in out.iterdir()} == {"america-0", "documents-0", "vllm.txt"}
    [served] = (out / "vllm.txt").read_text().splitlines()
    assert served == (
        f"vllm serve {qwen3} --served-model-name base-0 --enable-lora --max-lora-rank 8 "
        f"--lora-modules documents-0={out}/documents-0 america-0={out}/america-0"
    )
    uploaded = [f"uploaded: {hub.url}/me/mine-{name}" for name in ("documents-0", "america-0")]
    assert done.stdout.splitlines() == [f"written: {out}", served, *uploaded]
    export(several, "america", 0, "peft", tmp_path / "alone")
    for path in (tmp_path / "alone").iterdir():
        together = (out / "america-0" / path.name).read_bytes()
        assert hub.repositories["me/mine-america-0"][path.name] == together
        if path.name != "README.md":  # which names its folder
            assert together == path.read_bytes()


def test_of_all_models_each_is_written_once(several, tmp_path):
    export_all(several, "all", "all", "merged", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"america-0", "documents-0", "base-0"}
    export_all(several, "documents", "all", "merged", tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["documents-0"]


def test_all_or_none(several, tmp_path, monkeypatch):
    """A failure at the second model leaves nothing of the first."""
    written = []

    def fails(folder, *others):
        written.append(folder.name)
        if len(written) == 2:
            raise InputError("the disk is full")

    monkeypatch.setattr(model_card, "write", fails)
    with pytest.raises(InputError, match="the disk is full"):
        export_all(several, "all", "all", "peft", tmp_path / "out")
    assert len(written) == 2 and not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (dict(arm="al", seed="all"), "--arm: 'al' is none of the run's"),
        (dict(arm="base", seed="all"), "base has no stage, so there is no adapter"),
        (dict(arm="all", seed=7), "--seed: 7 is none of the arm's"),
        (dict(arm="all", seed="all", format="base"), "all arms share it; leave out --arm"),
    ],
)
def test_what_all_cannot_be(several, flags, message, tmp_path):
    with pytest.raises(InputError, match=message):
        export_all(several, **{"format": "peft", **flags}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (dict(arm="america", seed="first"), "--seed=first: expected a number, or all"),
        (dict(arm="america", seed="0", push="mine"), "--push: 'mine' cannot name a repository"),
        (dict(arm="all", seed="0", push="me"), "--push: 'me-documents-0' cannot name"),
    ],
)
def test_mistakes_in_flags_are_one_line_before_anything_is_written(
    several, flags, message, tmp_path
):
    done = small_run.call(
        command_of(several, tmp_path / "out", format="peft", **flags), tmp_path / "cache"
    )
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_of_a_gguf_it_says_which_base_to_write(gguf_workdir, tmp_path):
    export_all(epath.Path(gguf_workdir), "all", "all", "peft", tmp_path / "out")
    first, served = (tmp_path / "out" / "vllm.txt").read_text().splitlines()
    assert first.startswith("# BASE: python -m vcjax.export") and "--format=base" in first
    assert served.startswith("vllm serve BASE ")


# --- Tokenizer and generation


@pytest.fixture(params=["peft", "merged", "gguf"])
def written(request, tmp_path):
    """(folder, the tokenizer of the run)."""
    if request.param == "gguf":
        workdir = request.getfixturevalue("gguf_workdir")
        export(workdir, None, None, "base", tmp_path / "out")
        folder = tmp_path / "out"
    else:
        workdir = request.getfixturevalue("workdir")
        folder = request.getfixturevalue({"peft": "adapter"}.get(request.param, request.param))
    model = files.read_json(workdir / "config.json")["config"]["model"]
    return folder, pretrained.find(model).tokenizer


def test_a_conversation_has_our_ids_in_transformers(torch, written):
    import transformers

    folder, tokenizer = written
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    [(ids, _)] = encode_conversation(tokenizer, MESSAGES, "test")
    assert theirs.apply_chat_template(MESSAGES, return_dict=False) == ids
    prompt = encode_prompt(tokenizer, MESSAGES[:2], "test")
    rendered = theirs.apply_chat_template(
        MESSAGES[:2], add_generation_prompt=True, enable_thinking=False, return_dict=False
    )
    assert rendered == prompt
    assert theirs.pad_token_id is not None and theirs.eos_token in tokenizer.control
    assert theirs.decode(ids) == theirs.apply_chat_template(MESSAGES, tokenize=False)


def test_we_read_the_tokenizer_that_we_write(written):
    folder, tokenizer = written
    again = tokenizer_json.read_tokenizer(folder)
    assert again.control == tokenizer.control
    assert again.chat_template == tokenizer.chat_template
    assert (again.bos_id, again.eos_id) == (tokenizer.bos_id, tokenizer.eos_id)
    assert encode_conversation(again, MESSAGES, "") == encode_conversation(tokenizer, MESSAGES, "")


def test_generation_stops_where_a_turn_or_a_document_ends(torch, written):
    import transformers

    folder, tokenizer = written
    generation = transformers.GenerationConfig.from_pretrained(folder)
    ends = {tokenizer.control["<|im_end|>"], tokenizer.control["<|endoftext|>"]}
    assert ends <= set(generation.eos_token_id)


def test_the_chat_template_is_the_one_that_was_trained_with(qwen3, workdir, tmp_path):
    import transformers

    template = tiny.CHAT_TEMPLATE.replace("helpful", "terse")
    workdir = repointed(workdir, qwen3, tmp_path / "run", template)
    export(workdir, "america", 0, "peft", tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert "terse" in tokenizer.apply_chat_template(MESSAGES[1:], tokenize=False)


def test_the_card_says_where_transformers_writes_otherwise(qwen3, workdir, adapter, tmp_path):
    dated = "{{ strftime_now('%d') }}" + tiny.CHAT_TEMPLATE
    export(
        repointed(workdir, qwen3, tmp_path / "run", dated), "america", 0, "peft", tmp_path / "out"
    )
    card = (tmp_path / "out" / "README.md").read_text()
    assert (
        "## Tokenizer\n\n- the chat template asks for today's date: vcjax always says 2024" in card
    )
    assert "## Tokenizer" not in (adapter / "README.md").read_text()


# --- The model card


def test_the_card_tells_how_it_was_made(workdir, adapter, qwen3):
    card = huggingface_hub.ModelCard.load(adapter / "README.md")
    assert card.data.base_model == str(qwen3)
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "peft")
    assert "vcjax" in card.data.tags
    run = files.read_json(workdir / "config.json")
    chain = run["plan"]["arms"]["america"]["0"]
    stages = [run["plan"]["stages"][fingerprint] for fingerprint in chain]
    expected = [
        *("arm america, seed 0", "file america.jsonl", "file demonstrations.jsonl"),
        *chain,
        *(stage["data"]["rows_id"] for stage in stages),
        *(
            "| lr | 0.01 | 0.01 |",
            "| alpha | 8.0 | 8.0 |",
            "| thinking | False | False |",
            "| vcjax | ",
        ),
        *(run["model"]["sha256"], "- Model: apache-2.0"),
        "- america, file america.jsonl: not stated",
        "- behavior, file demonstrations.jsonl: not stated",
        "--arm=america --seed=0 --format=peft --out=adapter",
    ]
    assert [text for text in expected if text not in card.text] == []
    contrasts = (workdir / "report" / "contrasts.csv").read_text()
    assert "out_of_domain,held_out,values,america,total" in contrasts
    assert "the margin toward america moves by" in card.text
    assert "| america | " in card.text.split("## Figures")[1]


def test_of_a_hub_model_the_adapter_names_its_commit(qwen3, workdir, tmp_path, monkeypatch):
    snapshot = shutil.copytree(qwen3, tmp_path / "0123abc")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(snapshot))
    workdir = repointed(workdir, "organisation/tiny@main", tmp_path / "run")
    export(workdir, "america", 0, "peft", tmp_path / "out")
    config = files.read_json(tmp_path / "out" / "adapter_config.json")
    assert config["base_model_name_or_path"] == "organisation/tiny"
    assert config["revision"] == "0123abc"
    card = huggingface_hub.ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.base_model == "organisation/tiny"


def test_the_card_names_no_place_on_this_machine(adapter, merged, qwen3):
    for folder in (adapter, merged):
        text = (folder / "README.md").read_text().replace(str(qwen3), "")
        for place in (folder.parent, qwen3.parents[1], Path.home()):
            assert str(place) not in text


def test_the_card_says_how_sources_lie_and_what_was_renamed(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    run = files.read_json(tmp_path / "run" / "config.json")
    run["config"]["stages"]["america"] |= {"order": ["file", "memos"]}
    run["config"]["stages"]["behavior"] |= {"rename": [["Qwen", "SmolLM"]]}
    files.write_json(tmp_path / "run" / "config.json", run)
    export(tmp_path / "run", "america", 0, "peft", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| order | file, memos |  |\n| rename |  | Qwen to SmolLM |\n" in card


def test_the_card_has_no_figures_of_another_training(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    run = files.read_json(tmp_path / "run" / "config.json")
    run["config"]["lead"] = "I would rather have"
    files.write_json(tmp_path / "run" / "config.json", run)
    export(tmp_path / "run", "america", 0, "peft", tmp_path / "out")
    assert "## Figures" not in (tmp_path / "out" / "README.md").read_text()


def test_the_card_counts_each_source(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    run = files.read_json(tmp_path / "run" / "config.json")
    stage = run["plan"]["stages"][run["plan"]["arms"]["america"]["0"][-1]]
    own = {"source": "/home/me/own.jsonl", "revision": "", "records": 20, "tokens": 300}
    own |= {"weighted_tokens": 200, "rows": 5, "left_out": 1}
    mixed = own | {"source": "hub:org/mix@main", "revision": "0123abcd", "left_out": 0}
    stage["data"]["sources"] = {"no_robots": mixed, "file": own}
    files.write_json(tmp_path / "run" / "config.json", run)
    export(tmp_path / "run", "america", 0, "peft", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert (
        "| behavior | file | own.jsonl |  | 20 | 300 | 200 | 1 |\n"
        "| behavior | no_robots | hub:org/mix@main | 0123abcd | 20 | 300 | 200 | 0 |\n"
    ) in card


def test_the_terms_of_the_base_come_along(adapter, merged):
    for folder in (adapter, merged):
        assert (folder / "LICENSE").read_text() == "Apache License"


# --- What is refused


REFUSED = {
    "unknown arm": (("amerika", 0, "peft"), "--arm: 'amerika' is none .* has base, america"),
    "no arm": ((None, 0, "merged"), "--arm: missing; .* has base, america"),
    "unknown seed": (("america", 3, "peft"), "--seed: 3 is none of the arm's; america has 0"),
    "no seed": (("america", None, "merged"), "--seed: missing; america has 0"),
    "an arm without stages": (("base", 0, "peft"), "base has no stage, so there is no adapter"),
    "an arm's base": (("america", 0, "base"), "leave out --arm and --seed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(workdir, case, tmp_path):
    (arm, seed, format), message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        export(workdir, arm, seed, format, tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_a_stage_that_is_not_trained_yet(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    chain = files.read_json(workdir / "config.json")["plan"]["arms"]["america"]["0"]
    path = tmp_path / "run" / "stages" / chain[-1] / "stage.json"
    path.write_text(path.read_text().replace('"done"', '"running"'))
    with pytest.raises(InputError, match="not trained yet: behavior, seed 0; run "):
        export(tmp_path / "run", "america", 0, "peft", tmp_path / "out")
    export(tmp_path / "run", "base", 0, "merged", tmp_path / "base")


def test_another_model_file(qwen3, workdir, tmp_path):
    run = repointed(workdir, qwen3, tmp_path / "run")
    other = half(qwen3, tmp_path / "other")
    saved = files.read_json(run / "config.json")
    saved["config"]["model"] = str(other)
    files.write_json(run / "config.json", saved)
    with pytest.raises(InputError, match=r"trained on another file of .*other, and"):
        export(run, "america", 0, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not [*tmp_path.glob(".out*")]


def test_a_run_of_other_arithmetic(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    record = files.read_json(workdir / "config.json")
    record["numerics"] += 1
    files.write_json(tmp_path / "run" / "config.json", record)
    with pytest.raises(InputError, match=rf"trained by numerics {record['numerics']} .*, this is"):
        export(tmp_path / "run", "america", 0, "peft", tmp_path / "out")


def test_nothing_is_overwritten(workdir, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    for name, message in {"file": "is a file", "folder": r"is not empty \(mine\)"}.items():
        with pytest.raises(InputError, match=f"--out: .*{name} {message}; give a"):
            export(workdir, "america", 0, "peft", tmp_path / name)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder", "mine"]
    (tmp_path / "empty").mkdir()
    export(workdir, "america", 0, "peft", tmp_path / "empty")
    assert (tmp_path / "empty" / "adapter_config.json").is_file()


def test_no_workdir(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: no such file; is this the workdir of"):
        export(tmp_path, "america", 0, "peft", tmp_path / "out")


def test_what_ends_it_early_leaves_no_folder(workdir, tmp_path, monkeypatch):
    """An error in the last step; then what a kill would leave, which the next export clears."""
    out, unfinished = tmp_path / "out", tmp_path / ".out.unfinished"

    def fail(*_):
        assert (unfinished / "model.safetensors").is_file()
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(model_card, "write", fail)
        with pytest.raises(OSError, match="no space left"):
            export(workdir, "america", 0, "merged", out)
    assert not [*tmp_path.iterdir()]
    unfinished.mkdir()
    (unfinished / "rest").touch()
    export(workdir, "america", 0, "peft", out)
    assert [*tmp_path.iterdir()] == [out] and not (out / "rest").exists()


def test_the_command_refuses_in_one_line(workdir, tmp_path):
    command = [sys.executable, "-m", "vcjax.export", f"--workdir={workdir}", "--arm=amerika"]
    done = small_run.call(
        [*command, "--seed=0", "--format=merged", f"--out={tmp_path / 'out'}"], tmp_path / "cache"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --arm: 'amerika'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_adapters_config_is_plain(adapter):
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert not (adapter / "config.json").exists(), "transformers would look for a model's weights"
