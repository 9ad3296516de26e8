"""What was trained on one checkpoint is asked on another one of its shape, and scaled."""

import dataclasses
import json
import shlex
import shutil

import hub
import jax
import numpy as np
import pandas as pd
import peers
import pytest
import small_run
import tiny
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import experiment, record
from vcjax.errors import InputError
from vcjax.export import export, export_all
from vcjax.probes import answer_files
from vcjax.report import reading
from vcjax.serve import models as serving
from vcjax.training import loaded_model
from vcjax.weights import grafts, peft, pretrained
from vcjax.workdir import files

QWEN3 = tiny.FAMILIES["qwen3"]
HEADS, KV, DIM = QWEN3.num_heads, QWEN3.num_kv_heads, QWEN3.head_dim
SCALES = dict(none=0, half=0.5, one=1, more=1.5)


def write_model(folder, seed=0, architecture=QWEN3, family="qwen3"):
    peers.llama(tiny.weights(architecture, seed), architecture, family).save_pretrained(folder)
    hub.write_tokenizer(folder, family)
    return folder


@pytest.fixture(scope="module")
def checkpoints(torch, tmp_path_factory):
    """Folders of a model and of one that goes on from it: other weights, another template."""
    folder = tmp_path_factory.mktemp("models")
    base, chat = (write_model(folder / name, seed) for seed, name in enumerate(("base", "chat")))
    settings = files.read_json(chat / "tokenizer_config.json")
    template = settings["chat_template"]
    settings["chat_template"] = "{# of a chat model #}" + template
    files.write_json(chat / "tokenizer_config.json", settings)
    return base, chat


def config_of(folder, checkpoints, **more):
    base, chat = checkpoints
    path = small_run.write_short(folder, base)
    small_run.write_spoken(folder)
    config = small_run.load(path, sampling={"max_tokens": 4, "temperature": 0.0, "samples": 1})
    config.judge.by = "none"
    config.probes = ("probes.jsonl", "said.jsonl")
    given = {
        **{name: dict(arm="america", scale=float(scale)) for name, scale in SCALES.items()},
        "chat": dict(arm="base", model=str(chat)),
        "chat_america": dict(arm="america", model=str(chat)),
        "chat_more": dict(arm="america", model=str(chat), scale=1.5),
        **more,
    }
    with config.unlocked():
        config.grafts = ConfigDict(
            {name: {**dict(model="", scale=1.0), **graft} for name, graft in given.items()}
        )
        config.contrasts.half = dict(half=1.0, none=-1.0)
        config.contrasts.more = dict(more=1.0, none=-1.0)
        config.contrasts.grafted = dict(chat_america=1.0, chat=-1.0)
        config.curves = dict(scale=dict(series=dict(america=dict(half=0.5, more=1.5))))
    return config


@pytest.fixture(scope="module")
def finished(checkpoints, tmp_path_factory):
    """(folder, config) of a run with grafts, and its workdir."""
    folder = tmp_path_factory.mktemp("experiment")
    config = config_of(folder, checkpoints)
    experiment.run(config, folder, epath.Path(folder / "run"), False)
    return folder, config


def answers(workdir, arm, kind="choice"):
    path = answer_files.own_path(epath.Path(workdir) / "probes", arm, 0, kind)
    return answer_files.read(path).to_pandas().drop(columns="arm")


def our_logits(workdir, document, arm):
    run = record.read(epath.Path(workdir))
    found = loaded_model.models_of(epath.Path(workdir), run)
    loaded = loaded_model.load_model(ConfigDict(run.config), found[run.base_of(arm)])
    model, params, base = loaded.after(epath.Path(workdir), run.plan, arm, 0)
    return np.asarray(tiny.logits(params, base, document, model))


@pytest.fixture(scope="module")
def document():
    return tiny.documents(tiny.batch(rows=1, length=40))[0]


@pytest.fixture(scope="module")
def adapter(finished, tmp_path_factory):
    """What the arm trained, written for `peft` without `vcjax.export`."""
    folder = tmp_path_factory.mktemp("adapter")
    workdir = epath.Path(finished[0] / "run")
    run = record.read(workdir)
    loaded = loaded_model.load_model(
        ConfigDict(run.config), loaded_model.pretrained_of(workdir, run)
    )
    model, params, _ = loaded.after(workdir, run.plan, "america", 0)
    peft.write_adapter(folder, jax.device_get(params["adapter"]), model.lora, None)
    return folder


@pytest.mark.parametrize(
    ("arm", "checkpoint", "scale"),
    [("half", 0, 0.5), ("more", 0, 1.5), ("chat_america", 1, 1), ("chat_more", 1, 1.5)],
)
def test_it_is_the_adapter_on_that_model_as_peft_scales_it(
    finished, adapter, checkpoints, document, arm, checkpoint, scale
):
    import peft as theirs
    import torch
    import transformers

    base = transformers.AutoModelForCausalLM.from_pretrained(checkpoints[checkpoint])
    model = theirs.PeftModel.from_pretrained(base, adapter)
    for module in model.modules():
        if hasattr(module, "scale_layer"):
            module.scale_layer(scale)
    with torch.no_grad():
        expected = model(torch.from_numpy(document["tokens"]).long()).logits.numpy()
    ours = our_logits(finished[0] / "run", document, arm)
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert np.abs(ours - our_logits(finished[0] / "run", document, "america")).max() > 0.01


def test_times_0_it_is_the_untouched_model_to_the_bit(finished, document):
    workdir = finished[0] / "run"
    ours, untouched = (our_logits(workdir, document, arm) for arm in ("none", "base"))
    np.testing.assert_array_equal(ours, untouched)
    for kind in ("choice", "said"):
        assert answers(workdir, "none", kind).equals(answers(workdir, "base", kind))
        assert answers(workdir, "one", kind).equals(answers(workdir, "america", kind))
        assert not answers(workdir, "half", kind).equals(answers(workdir, "america", kind))


def test_each_model_is_asked_with_its_own_template(finished):
    """Both are read; the words are those of the one, the weights those of the other."""
    run = record.read(epath.Path(finished[0] / "run"))
    found = loaded_model.models_of(epath.Path(finished[0] / "run"), run)
    assert [*found] == ["", run.base_of("chat")]
    assert "of a chat model" in found[run.base_of("chat")].tokenizer.chat_template
    assert "of a chat model" not in found[""].tokenizer.chat_template
    assert not answers(finished[0] / "run", "chat").equals(answers(finished[0] / "run", "base"))


def test_a_base_is_read_once_for_all_that_is_asked_on_it(finished, checkpoints, tmp_path, capsys):
    folder, config = finished
    read = []

    def counted(model, *others):
        read.append(model.name)
        return load(model, *others)

    shutil.copytree(folder / "run", tmp_path / "run")
    for path in (tmp_path / "run" / "probes").glob("*.parquet"):
        path.unlink()
    load = loaded_model.load_weights
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded_model, "load_weights", counted)
        experiment.run(config, folder, epath.Path(tmp_path / "run"), False)
    assert read == [*map(str, checkpoints)] * 2, "scored, then spoken"
    out = capsys.readouterr().out
    assert f"graft chat_more: america on {checkpoints[1]}, its adapters times 1.5" in out


def test_answers_are_asked_again_only_of_what_changed(finished, tmp_path, capsys):
    folder, config = finished
    shutil.copytree(folder / "run", tmp_path / "run")
    changed = config.copy_and_resolve_references()
    changed.grafts.more.scale = 1.25
    with pytest.raises(InputError, match=r"config\.grafts\.more\.scale: 1\.5 -> 1\.25"):
        experiment.run(changed, folder, epath.Path(tmp_path / "run"), False)
    changed.on_change = "retrain"
    capsys.readouterr()
    experiment.run(changed, folder, epath.Path(tmp_path / "run"), False)
    out = capsys.readouterr().out
    assert "to train: 0 of" in out
    assert "choice: asked arm more, seed 0" in out and out.count("choice: asked") == 1


def test_another_file_of_the_other_model_is_noticed(finished, checkpoints, tmp_path):
    folder, config = finished
    other = write_model(tmp_path / "other", seed=2)
    changed = config.copy_and_resolve_references()
    for name in ("chat", "chat_america", "chat_more"):
        changed.grafts[name].model = str(other)
    with pytest.raises(InputError, match=r"the file of the model of config\.grafts\.chat;"):
        experiment.run(changed, folder, epath.Path(folder / "run"), True)


def test_the_report_shows_how_much_of_it(finished):
    page = (finished[0] / "run" / "report" / "index.html").read_text()
    assert "the arm america, asked on chat, its adapters times 1.5" in page
    levels = pd.read_csv(finished[0] / "run" / "report" / "factors.csv")
    shown = levels[["curve", "series", "x"]].values.tolist()
    assert shown == [["scale", "america", 0.5], ["scale", "america", 1.5]]


def test_a_finished_run_scores_further_probes_on_its_grafts(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps(p) + "\n" for p in small_run.probes(("lamps",), 2)))
    experiment.probe_finished(epath.Path(tmp_path / "run"), more)
    [folder] = [path for path in (tmp_path / "run" / "probes").iterdir() if path.is_dir()]
    assert {f"{arm}-0.parquet" for arm in ("half", "chat_more", "chat")} <= {
        path.name for path in folder.iterdir()
    }


def test_a_server_has_them_each_on_its_own_base(finished):
    workdir = epath.Path(finished[0] / "run")
    run = reading.read_ordered(workdir)
    wanted = [("base", 0), ("half", 0), ("chat", 0), ("chat_more", 0)]
    _, speakers = serving.load(workdir, run, wanted, slots=2, length=64)
    samplers = {model: speakers[model].sampler for model in wanted}
    assert samplers["base", 0] is samplers["half", 0]
    assert samplers["chat", 0] is samplers["chat_more", 0]
    templates = [sampler.tokenizer.chat_template for sampler in samplers.values()]
    assert ["of a chat model" in template for template in templates] == [False, False, True, True]


def test_an_export_is_the_scaled_adapter_for_the_other_model(
    finished, checkpoints, document, tmp_path
):
    import peft as theirs
    import torch
    import transformers

    def logits(model):
        with torch.no_grad():
            return model(torch.from_numpy(document["tokens"]).long()).logits.numpy()

    workdir = epath.Path(finished[0] / "run")
    for format in ("peft", "merged"):
        export(workdir, "chat_more", 0, format, tmp_path / format)
    assert files.read_json(tmp_path / "peft" / "adapter_config.json")[
        "base_model_name_or_path"
    ] == str(checkpoints[1])
    base = transformers.AutoModelForCausalLM.from_pretrained(checkpoints[1])
    ours = our_logits(workdir, document, "chat_more")
    adapted = logits(theirs.PeftModel.from_pretrained(base, tmp_path / "peft"))
    np.testing.assert_allclose(ours, adapted, atol=1e-4)
    whole = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    np.testing.assert_allclose(ours, logits(whole), atol=1e-4)
    card = (tmp_path / "peft" / "README.md").read_text()
    own = f"which was trained on `{checkpoints[0]}`, its adapters times 1.5."
    assert f"It is the arm `america`, {own}" in card
    template = (tmp_path / "peft" / "chat_template.jinja").read_text()
    assert "of a chat model" in template
    with pytest.raises(InputError, match="the adapters of none are times 0, so there is none"):
        export(workdir, "none", 0, "peft", tmp_path / "none")
    export(workdir, "none", 0, "merged", tmp_path / "none")
    whole = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "none")
    np.testing.assert_allclose(our_logits(workdir, document, "base"), logits(whole), atol=1e-4)


def test_all_exports_are_served_by_a_command_for_each_base(finished, checkpoints, tmp_path):
    export_all(epath.Path(finished[0] / "run"), "all", "all", "peft", tmp_path / "out")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    on_base, on_chat = (
        {"america-0", "early-0", "half-0", "more-0"},
        {"chat_america-0", "chat_more-0"},
    )
    assert folders == on_base | on_chat, "`one` is america, and `none` has no adapter"
    lines = (tmp_path / "out" / "vllm.txt").read_text().splitlines()
    for line, model, untouched, names in zip(
        lines, checkpoints, ("base-0", "chat-0"), (on_base, on_chat), strict=True
    ):
        words = shlex.split(line)
        assert words[2:5] == [str(model), "--served-model-name", untouched]
        modules = dict(word.split("=") for word in words[words.index("--lora-modules") + 1 :])
        assert modules == {name: str(tmp_path / "out" / name) for name in names}


# --- What does not fit


def found(own, model, chat_template=""):
    config = configs.experiment(
        grafts=dict(g=dict(arm="a", model=str(model))), chat_template=chat_template
    )
    return grafts.find(config, pretrained.find(str(own)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(num_layers=3), r"of another shape than .* \(layers: 3, not 2\)"),
        (dict(mlp_dim=64), r"\(gate's inputs and outputs: \(32, 64\), not \(32, 48\)\)"),
        (dict(num_heads=HEADS * 2, num_kv_heads=KV * 2, head_dim=DIM // 2), r"\(heads: "),
    ],
)
def test_another_shape_is_refused(checkpoints, tmp_path, change, message):
    other = write_model(tmp_path / "other", architecture=dataclasses.replace(QWEN3, **change))
    with pytest.raises(InputError, match=message) as error:
        found(checkpoints[0], other)
    assert str(error.value).startswith("config.grafts.g.model: ")


def test_what_differs_beside_the_shape_is_a_warning(checkpoints, tmp_path):
    base, chat = checkpoints
    assert grafts.warnings(found(base, chat)) == []
    other = shutil.copytree(chat, tmp_path / "other")
    config = files.read_json(other / "config.json")
    config["rope_parameters"]["rope_theta"] *= 2
    hub.write_json(other / "config.json", config | {"rms_norm_eps": 1e-5})
    (warning,) = grafts.warnings(found(base, other))
    assert f"{other} has another period of layers (RoPE or windows), norm_eps than" in warning


def test_other_tokens_are_refused_but_added_control_tokens_are_not(checkpoints, tmp_path):
    base, chat = checkpoints
    more = shutil.copytree(chat, tmp_path / "more")
    spec = files.read_json(more / "tokenizer.json")
    added = spec["added_tokens"]
    vocab = spec["model"]["vocab"]
    ordinary = next(token for token in vocab if token not in {t["content"] for t in added})
    other = next(token for token in vocab if token not in (ordinary,))
    last = added[-1]
    renamed = {**last, "content": "<|of_a_chat_model|>"}
    spec["added_tokens"] = [*added[:-1], renamed]
    if last["content"] in vocab:
        vocab["<|of_a_chat_model|>"] = vocab.pop(last["content"])
    hub.write_json(more / "tokenizer.json", spec)
    settings = files.read_json(more / "tokenizer_config.json")
    settings["added_tokens_decoder"].pop(str(last["id"]))
    hub.write_json(more / "tokenizer_config.json", settings)
    found(base, more)
    vocab[ordinary], vocab[other] = vocab[other], vocab[ordinary]
    hub.write_json(more / "tokenizer.json", spec)
    with pytest.raises(InputError, match="has other tokens than"):
        found(base, more)


def test_a_model_that_cannot_be_read_is_named_with_its_key(checkpoints, tmp_path):
    with pytest.raises(InputError, match=r"^config\.grafts\.g\.model: 'nowhere' is no folder"):
        found(checkpoints[0], "nowhere")


def test_a_model_without_a_template_gets_the_experiments(checkpoints, tmp_path):
    base, chat = checkpoints
    bare = shutil.copytree(chat, tmp_path / "bare")
    settings = files.read_json(bare / "tokenizer_config.json")
    del settings["chat_template"]
    hub.write_json(bare / "tokenizer_config.json", settings)
    templates = [
        found(base, model, tiny.CHAT_TEMPLATE)[str(model)].tokenizer.chat_template
        for model in (bare, chat)
    ]
    assert templates[0] == tiny.CHAT_TEMPLATE and "of a chat model" in templates[1]


def test_a_shape_that_differs_stops_before_anything_is_written(checkpoints, tmp_path):
    other = write_model(tmp_path / "other", architecture=dataclasses.replace(QWEN3, mlp_dim=64))
    config = config_of(tmp_path / "files", checkpoints, wide=dict(arm="america", model=str(other)))
    with pytest.raises(InputError, match=r"^config\.grafts\.wide\.model: .* of another shape"):
        experiment.run(config, tmp_path / "files", epath.Path(tmp_path / "run"), False)
    assert not (tmp_path / "run").exists()
