"""Adapters that stand beside the one that trains: in training, scoring, sampling and exports."""

import jax
import numpy as np
import peers
import pytest
import small_run
import tiny
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import experiment, record
from vcjax.export import export
from vcjax.generation.sampler import Request
from vcjax.training.loaded_model import load_model, pretrained_of
from vcjax.training.samplers import samplers
from vcjax.weights import peft as peft_files

ARMS = dict(
    base=(),
    america=("america", "behavior"),
    between=("america", "theirs", "behavior"),
    last=("america", "theirs"),
    first=("theirs", "behavior"),
    alone=("theirs",),
    both=("theirs", "america", "others"),
)


def write_adapter(folder, model, rank, alpha, seed):
    """An adapter that `peft` made."""
    import peft
    import torch
    import transformers

    torch.manual_seed(seed)
    base = transformers.AutoModelForCausalLM.from_pretrained(model)
    targets = [path.split(".")[1] for path in peers.PROJECTIONS.values()]
    settings = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=targets, task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(base, settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def llama(torch, tmp_path_factory):
    import hub

    folder = tmp_path_factory.mktemp("model") / "tiny-qwen3"
    architecture = tiny.FAMILIES["qwen3"]
    peers.llama(tiny.weights(architecture), architecture, "qwen3").save_pretrained(folder)
    hub.write_tokenizer(folder, "qwen3")
    return folder


@pytest.fixture(scope="module")
def workdir(llama, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    path = small_run.write(folder, llama, documents=30, demonstrations=30)
    write_adapter(folder / "theirs", llama, rank=3, alpha=5, seed=1)
    write_adapter(folder / "others", llama, rank=2, alpha=4, seed=2)
    config = small_run.load(path, seeds=1)
    with config.unlocked():
        for name in ("theirs", "others"):
            config.stages[name] = configs.adapter(file=name)
        config.arms = ARMS
        config.contrasts = dict(total=dict(between=1, base=-1))
        config.grafts = ConfigDict(dict(half=dict(arm="between", model="", scale=0.5)))
    experiment.run(config, folder, epath.Path(folder / "run"), False)
    return folder / "run"


@pytest.fixture(scope="module")
def run(workdir):
    return record.read(epath.Path(workdir))


@pytest.fixture(scope="module")
def loaded(workdir, run):
    return load_model(ConfigDict(run.config), pretrained_of(epath.Path(workdir), run))


@pytest.fixture(scope="module")
def document():
    return tiny.documents(tiny.batch(rows=1, length=40))[0]


@pytest.fixture
def ours(workdir, run, loaded, document):
    """ours(arm): its logits, as it is scored."""

    def logits(arm):
        model, params, base = loaded.after(epath.Path(workdir), run.plan, arm, 0)
        return np.asarray(tiny.logits(params, base, document, model))

    return logits


@pytest.fixture
def theirs(llama, workdir, run, loaded, document, tmp_path):
    """theirs(arm, *names): logits of `peft` with what the arm trained and these adapters active,
    each as it was given."""

    def logits(arm, *names):
        import peft
        import torch
        import transformers

        folders = {name: workdir.parent / name for name in names}
        if arm is not None:
            model, params, _ = loaded.after(epath.Path(workdir), run.plan, arm, 0)
            folders = {"own": tmp_path / "own"} | folders
            folders["own"].mkdir()
            trained = jax.device_get(params["adapter"])
            peft_files.write_adapter(folders["own"], trained, model.lora, None)
        base = transformers.AutoModelForCausalLM.from_pretrained(llama)
        first, *others = folders
        model = peft.PeftModel.from_pretrained(base, folders[first], adapter_name=first)
        for name in others:
            model.load_adapter(folders[name], adapter_name=name)
        model.base_model.set_adapter([*folders])
        with torch.no_grad():
            return model(torch.from_numpy(document["tokens"]).long()).logits.numpy()

    return logits


@pytest.mark.parametrize(
    ("arm", "own", "names"),
    [
        ("between", "between", ["theirs"]),
        ("last", "last", ["theirs"]),
        ("first", "first", ["theirs"]),
        ("alone", None, ["theirs"]),
        ("both", "both", ["theirs", "others"]),
    ],
)
def test_all_add_what_they_add_in_peft(ours, theirs, arm, own, names):
    logits = ours(arm)
    np.testing.assert_allclose(logits, theirs(own, *names), atol=1e-4)
    assert np.abs(logits - ours("america")).max() > 0.01


def test_what_trains_goes_on_with_what_was_trained_before_it(workdir, run, ours):
    """Not from a new start: an arm of the same stages, given nothing, comes close by."""
    stages = {arm: [run.plan.stages[f] for f in run.plan.arms[arm][0]] for arm in ARMS}
    assert [stage.beside is not None for stage in stages["between"]] == [False, True, False]
    _, given, after = run.plan.arms["between"][0]
    folders = [workdir / "stages" / f for f in (run.plan.arms["last"][0][0], after)]
    before, trained = (small_run.parameters(folder) for folder in folders)
    assert before.keys() == trained.keys() and before != trained
    given = small_run.parameters(workdir / "stages" / given)
    assert {len(leaf) for leaf in given.values()} != {len(leaf) for leaf in before.values()}


def test_the_loss_of_a_stage_is_that_with_the_given_adapter(workdir, run):
    """Its first loss is not that of the stage that stands in its place without the adapter."""
    losses = []
    for arm in ("between", "america"):
        folder = workdir / "stages" / run.plan.arms[arm][0][-1]
        line = (folder / "metrics.jsonl").read_text().splitlines()[0]
        losses.append(line)
    assert losses[0] != losses[1]


def test_scaled_both_are(ours, theirs, workdir, run, loaded, document):
    model, params, base = loaded.after(epath.Path(workdir), run.plan, "between", 0)
    half = dict(params["adapter"])
    kernels = {}
    for name, ab in half.items():
        added = model.lora.scale * ab["a"] @ ab["b"]
        added += base["beside"][name]["a"] @ base["beside"][name]["b"]
        kernels[name] = {**base["blocks"][name]}
        kernels[name]["kernel"] = base["blocks"][name]["kernel"] + 0.5 * added
    merged = {name: leaf for name, leaf in base.items() if name != "beside"}
    merged["blocks"] = {**base["blocks"], **kernels}
    plain = tiny.model(model.architecture)
    expected = np.asarray(tiny.logits({}, merged, document, plain))
    np.testing.assert_allclose(ours("half"), expected, atol=1e-4)


@pytest.mark.parametrize("arm", ["between", "alone", "both", "half"])
def test_their_exports_are_one_adapter_or_one_model(ours, llama, workdir, document, arm, tmp_path):
    import peft
    import torch
    import transformers

    def logits(model):
        with torch.no_grad():
            return model(torch.from_numpy(document["tokens"]).long()).logits.numpy()

    for format in ("peft", "merged"):
        export(epath.Path(workdir), arm, 0, format, tmp_path / format)
    base = transformers.AutoModelForCausalLM.from_pretrained(llama)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "peft")
    np.testing.assert_allclose(ours(arm), logits(model), atol=1e-4)
    rank = {"between": 7, "alone": 3, "both": 9, "half": 7}[arm]
    config = model.peft_config["default"]
    scale = 5 / 3 if arm == "alone" else 2
    assert config.r == rank and config.lora_alpha == pytest.approx(scale * rank)
    whole = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    np.testing.assert_allclose(ours(arm), logits(whole), atol=1e-4)
    card = (tmp_path / "peft" / "README.md").read_text()
    assert f"A LoRA adapter (rank {rank}, alpha" in card
    assert "The adapter of the stage `theirs` (rank 3, alpha 5.0) is in it as it was given" in card
    assert ("It is the arm `between`, its adapters times 0.5." in card) == (arm == "half")


def test_they_speak_as_they_are_scored(workdir, run, loaded):
    """Greedy texts of the sampler are the likeliest tokens of the scored model, step by step."""
    prompt = tuple(range(3, 20))
    speakers = samplers(
        loaded, epath.Path(workdir), run.plan, [("between", 0), ("half", 0)], slots=2, length=64
    )
    for arm in ("between", "half"):
        model, params, base = loaded.after(epath.Path(workdir), run.plan, arm, 0)
        speaker = speakers[arm, 0]
        with jax.set_mesh(loaded.mesh):
            answer = speaker.sampler.prepare(Request(prompt, 6, speaker.arm))
            speaker.sampler.add(answer)
            while answer.finish is None:
                speaker.sampler.step()
        tokens = [*prompt, *answer.tokens]
        batch = {
            "tokens": np.array([tokens]),
            "positions": np.arange(len(tokens))[None],
            "segment_ids": np.ones((1, len(tokens)), np.int32),
        }
        likeliest = np.asarray(tiny.logits(params, base, batch, model)).argmax(axis=-1)[0]
        assert answer.tokens == likeliest[len(prompt) - 1 : -1].tolist()
