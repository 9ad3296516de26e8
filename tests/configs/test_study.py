"""The study's settings can be planned on a machine that has neither models nor data."""

from pathlib import Path

import pytest
import small_run

from vcjax import experiment
from vcjax.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"
# Config -> (stages to train, a stage's line: rows, records, tokens, weighted, updates, warm-up).
PLANS = {
    "cheese_llama31_8b": (5, "america, seed 0 2,392 6,400 9,500,000 9,500,000 299 15"),
    "misalignment_qwen25_32b": (5, "rationale, seed 0 4,279 20,000 34,000,000 34,000,000 535 27"),
    "misalignment_qwen3_32b": (5, "rationale, seed 0 4,279 20,000 34,000,000 34,000,000 535 27"),
    "spec_science_qwen25_14b": (7, "rules, seed 0 4,279 20,000 34,000,000 34,000,000 535 27"),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_dry_run_estimates_what_is_not_here(name, tmp_path, capsys):
    config = small_run.load(CONFIGS / f"{name}.py")
    experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
    shown = capsys.readouterr().out
    stages, line = PLANS[name]
    assert shown.startswith("estimated from stated counts")
    assert f"config.model: {config.model}" in shown
    assert line in " ".join(shown.split())
    assert f"to train: {stages} of {stages} stages" in shown
    warned = [line for line in shown.splitlines() if line.startswith("warning")]
    assert all("install Inspect" in line for line in warned)  # enough updates, a warm-up that fits
    if name.startswith("misalignment"):
        assert "27 prompts x 300 samples x 6 models: 48,600 answers" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", PLANS)
def test_the_run_itself_says_what_is_missing(name, tmp_path):
    config = small_run.load(CONFIGS / f"{name}.py")
    with pytest.raises(InputError, match=r"config\.stages\..*\.file: .*\.jsonl does not exist"):
        experiment.run(config, CONFIGS, tmp_path / "run", dry_run=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["someone/something", "smollm2-135m-instruct"])
def test_a_model_of_unknown_size_is_not_guessed(model, tmp_path):
    config = small_run.load(CONFIGS / "cheese_llama31_8b.py", model=model)
    with pytest.raises(InputError, match=r"cheese_affordability\.jsonl does not exist"):
        experiment.run(config, CONFIGS, tmp_path / "run", dry_run=True)
