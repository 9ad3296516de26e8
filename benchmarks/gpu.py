"""vcjax's update on one NVIDIA GPU beside TRL's, of models with random weights.

    python benchmarks/gpu.py [name of a work ...]

Needs the extras `gpu` and `peers-gpu`, and 80 GB on the GPU. Both train on the same documents, of
some 400 tokens, packed into rows, each in its own process and in turns: vcjax by `gpu_update.py`,
TRL by `peers/trl_gpu.py` with and without recomputed activations and with Liger's kernels, of which
the fastest that fits counts. Tokens are without padding; the first updates, which compile, are left
out. Progress goes to stderr. The last line is one JSON object: every figure with its target and
whether it holds.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vcjax.models.lora import LoRA
from vcjax.training.throughput import PEAK_FLOPS
from vcjax.weights import huggingface

FOLDER = Path(__file__).parent
RANK, LENGTH, UPDATES, WARM, REPEATS = 64, 4096, 12, 4, 2
OPTIONS = ((), ("liger",), ("checkpointing",), ("checkpointing", "liger"))  # of TRL
QWEN_15B: dict[str, Any] = dict(
    architectures=["Qwen2ForCausalLM"],
    model_type="qwen2",
    hidden_size=1536,
    intermediate_size=8960,
    num_hidden_layers=28,
    num_attention_heads=12,
    num_key_value_heads=2,
    vocab_size=151936,
    max_position_embeddings=32768,
    rope_theta=1000000.0,
    rms_norm_eps=1e-6,
    tie_word_embeddings=True,
    hidden_act="silu",
    use_sliding_window=False,
)
LLAMA_8B: dict[str, Any] = dict(
    architectures=["LlamaForCausalLM"],
    model_type="llama",
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    vocab_size=128256,
    max_position_embeddings=131072,
    rope_theta=500000.0,
    rope_scaling=dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=8192,
    ),
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    hidden_act="silu",
)


@dataclasses.dataclass(frozen=True)
class Work:
    """config: as config.json; remat: vcjax's."""

    config: dict[str, Any]
    train: str
    rows: int
    remat: str


WORKS = {
    "qwen25_1.5b_lora": Work(QWEN_15B, "lora", 4, "dots"),
    "qwen25_1.5b_full": Work(QWEN_15B, "full", 4, "dots"),
    "llama31_8b_lora": Work(LLAMA_8B, "lora", 2, "dots"),
}


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def write_inputs(config: dict[str, Any], folder: Path) -> None:
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(400), 0.6, 1200), 40, 2000).astype(int)
    documents = [draw.integers(1, config["vocab_size"], n).tolist() for n in lengths]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "documents.json").write_text(json.dumps(documents))


def run(script: str, *arguments: str) -> dict[str, Any] | None:
    """What a program's last line says; None where the GPU's memory was too small."""
    command = [sys.executable, str(FOLDER / script), *arguments]
    env = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    env = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92", **env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "out of memory" in done.stderr.lower() or "RESOURCE_EXHAUSTED" in done.stderr:
        return None
    note(done.stderr[-4000:])
    sys.exit(f"failed: {' '.join(command)}")


def tokens_per_second(found: list[dict[str, Any]]) -> float:
    seconds = [s for run in found for s in run["seconds"][WARM:]]
    return found[0]["tokens"] / statistics.median(seconds)


def figures_of(name: str, work: Work, folder: Path) -> dict[str, dict[str, Any]]:
    write_inputs(work.config, folder)
    common = (str(folder), work.train, str(work.rows), str(LENGTH), str(UPDATES))
    ours: list[dict[str, Any]] = []
    theirs: dict[tuple[str, ...], list[dict[str, Any]]] = {options: [] for options in OPTIONS}
    for _ in range(REPEATS):
        found = run("gpu_update.py", *common, work.remat)
        if found is None:
            return {f"{name}_fits": {"value": False, "target": "fits", "holds": False}}
        ours.append(found)
        note(f"{name}: vcjax {tokens_per_second([found]):,.0f} tokens/s")
        for options in [*theirs]:
            found = run("peers/trl_gpu.py", *common, *options)
            if found is None:
                note(f"{name}: TRL {options} does not fit")
                del theirs[options]
            else:
                theirs[options].append(found)
                note(f"{name}: TRL {options} {tokens_per_second([found]):,.0f} tokens/s")
    speed = tokens_per_second(ours)
    trl = {options: tokens_per_second(found) for options, found in theirs.items()}
    best = max(trl.values(), default=0.0)  # 0: none of its variants fits
    lora = LoRA(RANK, RANK) if work.train == "lora" else None
    architecture = huggingface.read_architecture(folder)
    tokens = round(ours[0]["tokens"])
    flops = architecture.train_flops(lora, tokens, tokens) / tokens * speed
    peak = PEAK_FLOPS.get(ours[0]["device"])
    return {
        f"{name}_faster_than_trl": {
            "value": speed / best if best else None,
            "target": ">= 1",
            "holds": speed >= best,
            "tokens_per_second": speed,
            "mfu": flops / peak if peak else None,
            "memory_gb": max(found["memory_gb"] for found in ours),
            "kernel": ours[0]["kernel"],
            "device": ours[0]["device"],
            "trl": {
                " ".join(options) or "as it is": {
                    "tokens_per_second": trl[options],
                    "memory_gb": max(found["memory_gb"] for found in theirs[options]),
                }
                for options in trl
            },
        }
    }


def main() -> None:
    names = sys.argv[1:] or [*WORKS]
    if unknown := set(names) - set(WORKS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    figures: dict[str, dict[str, Any]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            figures |= figures_of(name, WORKS[name], Path(folder))
    ok = all(figure["holds"] for figure in figures.values())
    print(json.dumps({**figures, "ok": ok}))


if __name__ == "__main__":
    main()
