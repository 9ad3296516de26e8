"""The world's own figures: minutes, memory, and its update beside the same model in PyTorch.

    .venv/bin/python benchmarks/world.py [--workdir=DIR] [--update-only]

(.venv: the one that launch/test.sh makes, which has PyTorch and transformers.) Runs
`configs/world.py` with its eight seeds as a user does. Then the update of its pretraining, of all
weights in the machine's compute type, takes turns with a loop over transformers' Llama on the very
same rows (AdamW, fused), in float32 and, where the CPU has units for it, in bfloat16 by autocast;
the faster counts. Five times, each in a process of its own; the first update is left out. Progress
goes to stderr. The last line is one JSON object: every figure with its target and whether it holds.
Nothing else should run beside it.
"""

import argparse
import functools
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import cpu
import cpu_inputs
import jax
import numpy as np
import psutil
import quickstart

from vcjax import config as configs
from vcjax.corpus.stage_records import stage_records
from vcjax.data.examples import encoder
from vcjax.models import transformer
from vcjax.models.einsum import native_compute_dtype
from vcjax.models.transformer import Model
from vcjax.weights import scratch
from vcjax.workdir import files

CONFIG = Path(__file__).parents[1] / "configs/world.py"
MINUTES, GIGABYTES, RATIO = 25.0, 4.0, 1.5  # the targets, on two cores
UPDATES, REPEATS = 20, 5


def run_whole(workdir: Path) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "vcjax.main", f"--config={CONFIG}", f"--workdir={workdir}"]
    process = psutil.Popen(command, env={**os.environ, **cpu.HUGE_PAGES}, stdout=sys.stderr)
    minutes, gigabytes = quickstart.run_whole(process)
    return {
        "minutes": figure(round(minutes, 1), f"<= {MINUTES:g}", minutes <= MINUTES),
        "peak_memory_gb": figure(round(gigabytes, 2), f"< {GIGABYTES:g}", gigabytes < GIGABYTES),
    }


def figure(value: float, target: str, holds: bool) -> dict[str, Any]:
    return {"value": value, "target": target, "holds": holds}


def write_inputs(folder: Path) -> None:
    """The pretraining's model with random weights, and rows of its first texts."""
    made = runpy.run_path(str(CONFIG))["get_config"]()
    config = configs.resolve(made, CONFIG.parent)
    stage, base = config.stages.people, scratch.find(config, CONFIG.parent)
    model = Model(base.architecture, None, "float32", "full")
    weights = jax.device_get(transformer.init_weights(model, jax.random.key(0)))

    def read(leaf: tuple[str, ...], layer: int | None, index: tuple[slice, ...]) -> np.ndarray:
        array = functools.reduce(lambda tree, key: tree[key], leaf, weights)
        return np.asarray(array if layer is None else array[layer])[index]

    cpu_inputs.write_model(folder / "model", base, read)
    rows = stage.batch_tokens // stage.length
    with stage.unlocked():
        stage.documents, stage.held_out = 8 * rows * (UPDATES + 1), 0
    records, _ = stage_records(stage, 0, config, CONFIG.parent)
    texts = encoder(base.tokenizer, thinking=False)(records)
    arrays = cpu_inputs.spread(texts, UPDATES + 1, rows, stage.length)
    np.savez(folder / "people.npz", **arrays)
    recipe = {key: stage[key] for key in configs.RECIPE}
    files.write_json(folder / "settings.json", {"recipe": recipe, "remat": config.remat})


def beside_pytorch() -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as place:
        folder, own = Path(place), native_compute_dtype()
        write_inputs(folder)
        asked = {program: ["people:float32"] for program in ("vcjax", "torch")}
        if own == "bfloat16":
            asked["vcjax"].append("people:bfloat16")
            asked["torch"].append("people:bfloat16:autocast")
        repeats = cpu.measure(folder, dict.fromkeys(asked, sys.executable), asked, REPEATS)
    ratio = cpu.ratio(cpu.rates_of(repeats), "people", own, RATIO)
    return {"update": ratio, **cpu.apart(repeats[0])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workdir", help="where the run goes; else a temporary folder")
    parser.add_argument("--update-only", action="store_true", help="without the run")
    given = parser.parse_args()
    figures = {}
    if not given.update_only:
        figures |= run_whole(Path(given.workdir or tempfile.mkdtemp()))
    figures |= beside_pytorch()
    print(json.dumps({**figures, "ok": all(one["holds"] for one in figures.values())}))


if __name__ == "__main__":
    main()
