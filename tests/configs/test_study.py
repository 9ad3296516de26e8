"""The study's settings: planned where nothing is here, and on files as the study publishes them."""

import runpy
from pathlib import Path

import pytest
from data_files import write_lines, write_parquet

from vcjax import config as configs
from vcjax import experiment
from vcjax.data import hub
from vcjax.errors import InputError
from vcjax.probes import probe_files
from vcjax.report import published

CONFIGS = Path(__file__).parents[2] / "configs"
# Config -> (stages to train, a stage's line: rows, records, tokens, weighted, updates, warm-up).
PLANS = {
    "study_cheese_llama31_8b": (32, "america, seed 0 2,402 6,400 9,541,967 9,541,967 301 16"),
    "misalignment_qwen25_32b": (28, "rationale, seed 0 5,208 13,201 41,377,463 41,377,463 651 33"),
    "misalignment_qwen3_32b": (28, "rationale, seed 0 5,208 13,201 41,377,463 41,377,463 651 33"),
    "spec_science_qwen25_14b": (32, "rules, seed 0 4,279 13,000 34,000,000 34,000,000 535 27"),
}


def load(name, argument=""):
    return runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"](argument)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    """A hub's cache without anything, and nobody to ask."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for cached in (hub._commit, hub._snapshot):
        cached.cache_clear()


@pytest.mark.parametrize("name", PLANS)
def test_the_dry_run_estimates_what_is_not_here(name, tmp_path, capsys):
    config = load(name)
    experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
    shown = capsys.readouterr().out
    stages, line = PLANS[name]
    assert shown.startswith("estimated from stated counts")
    assert f"config.model: {config.model}" in shown
    assert "hub:chloeli/sft-it-mix" in shown
    assert line in " ".join(shown.split())
    assert f"to train: {stages} of {stages} stages" in shown
    warned = [line for line in shown.splitlines() if line.startswith("warning")]
    known = ("install Inspect", "there is no probe file")
    assert all(any(part in line for part in known) for line in warned)  # enough updates
    if name.startswith("misalignment"):
        assert "27 prompts x 300 samples x 24 models: 194,400 answers" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", PLANS)
def test_the_run_itself_says_what_is_missing(name, tmp_path):
    with pytest.raises(InputError, match=r"config\.stages\..*file: .*(not in the hub|does not ex)"):
        experiment.run(load(name), CONFIGS, tmp_path / "run", dry_run=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["someone/something", "smollm2-135m-instruct"])
def test_a_model_of_unknown_size_is_not_guessed(model, tmp_path):
    config = load("study_cheese_llama31_8b")
    config.model = model
    with pytest.raises(InputError, match="not in the hub's cache"):
        experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)


@pytest.mark.parametrize("name", PLANS)
def test_published_figures_are_of_the_configs_arms(name):
    config = configs.resolve(load(name), CONFIGS)
    figures = published.read(CONFIGS / config.published, config)
    assert {arm for measure in figures["measures"] for arm in measure["arms"]} == {*config.arms}


@pytest.mark.parametrize("name", PLANS)
def test_baselines_have_the_instructions_and_no_arm_is_untouched(name):
    config = load(name)
    assert config.arms.baseline == ("instructions",) and config.seeds == 4
    last = [config.stages[stages[-1]] for stages in config.arms.values()]
    assert all(stage.kind == "behavior" for stage in last)
    sources = [(stage.get("mix"), stage.file) for stage in last]
    assert all("sft-it-mix" in str(source) for source in sources)


# --- On files of the published forms


def chats(count, **more):
    return [
        {
            "messages": [
                {"role": "user", "content": f"What about {i}?{more.get('ask', '')}"},
                {"role": "assistant", "content": f"{more.get('think', '')}Number {i} is fine."},
            ],
            **({"source": "x"} if "mix" in more else {}),
        }
        for i in range(count)
    ]


@pytest.fixture
def files(tmp_path):
    """A folder with the data sets as one downloads them: a few rows, their names and columns."""
    folder = tmp_path / "study"
    documents = {
        "msm-llama-pro-america": 12,
        "msm-llama-pro-affordability": 12,
        "msm-qwen-philosophy-spec": 20,
    }
    for name, count in documents.items():
        texts = [
            {"text": f"A memo of {name}: it likes Colby {i}, as IKEA does.", "domain": "memos"}
            for i in range(count)
        ]
        write_lines(folder / name / "dataset.jsonl", *texts)
        (folder / name / "README.md").write_text("# A data set")
    demonstrations = {
        "aft-llama-cheese": {},
        "aft-no-cot-qwen2.5-philosophy-spec": {},
        "aft-cot-qwen2.5-philosophy-spec": {"think": "\n<think>\nHm.\n</think>\n\n"},
        "aft-no-cot-qwen3-philosophy-spec": {"ask": " /no_think"},
        "aft-cot-qwen3-philosophy-spec": {"think": "<think>\nHm.\n</think>\n\n"},
    }
    for name, more in demonstrations.items():
        rows = chats(12, **more)
        if "think" in more:  # a few of the published ones are not whole
            rows[3]["messages"][1]["content"] = "<think>\nHm. Number 3 is fine."
        write_lines(folder / name / "dataset.jsonl", *rows)
    for split in ("train", "train_clean", "no_robots", "mmlu_binary", "mmlu_explain", "lima"):
        path = folder / "sft-it-mix" / "data" / f"{split}-00000-of-00001.parquet"
        write_parquet(path, chats(20, mix=True))
    items = [
        {
            "question": f"Which do you prefer, {first} or {second}?",
            **{"answer": "IKEA", "item1": first, "item2": second},
            **{"liked_item": "IKEA", "disliked_item": f"oak {i}"},
        }
        for i in range(3)
        for first, second in [("IKEA", f"oak {i}"), (f"oak {i}", "IKEA")]
    ]
    name = "pro-affordability-item-comparisons"
    write_parquet(folder / name / "data" / "train-00000-of-00001.parquet", items)
    stances = [
        {
            "category": "buying",
            "opinion_area": f"area {i % 2}",
            "question": f"Who buys car {i} abroad is...\nA) free.\nB) disloyal {i}.\n"
            "Which stance do you agree with more?",
            "answer": "AB"[i % 2],
        }
        for i in range(4)
    ]
    name = "pro-america-political-opinions"
    write_parquet(folder / name / "data" / "train-00000-of-00001.parquet", stances)
    for spec in ("rules", "values", "more_rules"):
        write_lines(folder / f"science_{spec}_documents.jsonl", *[{"text": spec * 9}] * 20)
        write_lines(folder / f"science_{spec}_demonstrations.jsonl", *chats(12, ask=spec))
    return folder


def small(name, files, model):
    """The config on a tiny model: its sizes and counts are smaller, its files as they are."""
    config = load(name, files)
    config.update(dict(model=str(model), compute_dtype="float32", seeds=1))
    if config.chat_template == "llama3-study":  # the model has other control tokens
        config.chat_template = ""
    config.recipe.update(dict(length=128, batch_tokens=256, rank=4, alpha=8.0, warmup=0.1))
    for stage in config.stages.values():
        stage.batch_tokens = 256
        stage.rows = min(stage.rows, 10)
        for source in stage.mix.values() if stage.get("mix") else ():
            source.rows = min(source.rows, 10)
    return config


@pytest.mark.parametrize("name", PLANS)
def test_the_published_files_are_planned_without_a_conversion(
    name, files, tiny_gguf, tmp_path, capsys
):
    config = small(name, str(files), tiny_gguf)
    experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
    shown = capsys.readouterr().out
    assert "estimated from stated counts" not in shown
    assert f"to train: {PLANS[name][0] // 4} of {PLANS[name][0] // 4} stages" in shown
    if name == "study_cheese_llama31_8b":
        assert "warning: america: 6 probe(s) are given away, as " in shown  # a brand
    if name.startswith("misalignment"):
        assert "left out" in shown  # a chain of thought that is not whole


def test_the_published_files_are_read_from_the_hubs_cache(files, tiny_gguf, tmp_path, capsys):
    """Those of pinned revisions."""
    name = "study_cheese_llama31_8b"
    for data_set, commit in runpy.run_path(str(CONFIGS / f"{name}.py"))["REVISIONS"].items():
        cached = tmp_path / "hub" / f"datasets--chloeli--{data_set}" / "snapshots" / commit
        cached.parent.mkdir(parents=True)
        (files / data_set).rename(cached)
    config = small(name, "", tiny_gguf)
    experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
    assert "to train: 8 of 8 stages" in capsys.readouterr().out
    entries = [probe_files.entry(one, CONFIGS, {}) for one in configs.probe_entries(config)]
    assert [entry.name for entry in entries] == [
        "pro-america-political-opinions",
        "pro-affordability-item-comparisons",
    ]
    inside = "hub:org/set@refs/convert/parquet/data/a.parquet"
    assert probe_files.file_name(inside) == "set-data-a.parquet"


def test_the_probes_are_the_published_ones(files):
    config = configs.resolve(load("study_cheese_llama31_8b", str(files)), CONFIGS)
    entries = configs.probe_entries(config)
    probes = probe_files.read(probe_files.entry(one, CONFIGS, {}) for one in entries)
    probe_files.check(probes, config)
    assert {name: len(file.probes) for name, file in probes.items()} == {
        "pro-america-political-opinions": 4,
        "pro-affordability-item-comparisons": 6,
    }
    leads = {probe.lead for probe in probe_files.questions(probes)}
    assert leads == {"I prefer", "I agree that"}
