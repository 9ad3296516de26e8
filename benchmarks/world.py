"""The world's own figures: minutes and memory of its runs, and its update beside PyTorch.

    .venv/bin/python benchmarks/world.py [--only=world,update] [--workdir=DIR]

(.venv: the one that launch/test.sh makes, which has PyTorch and transformers.) Runs each config as
a user does, from nothing to its report; all of them take some hours. Then the update of
`configs/world.py`'s pretraining, of all weights in the machine's compute type, takes turns with a
loop over transformers' Llama on the very same rows (AdamW, fused), in float32 and, where the CPU
has units for it, in bfloat16 by autocast; the faster counts. Five times, each in a process of its
own; the first update is left out. Progress goes to stderr. The last line is one JSON object: every
figure with its target and whether it holds. Nothing else should run beside it.
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

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS = {  # name -> its config, and the minutes that it may take on two cores
    "world": ("world.py", 25.0),
    "quickstart": ("world.py:quickstart", 8.0),
    "smoke": ("world.py:smoke", 3.0),
    "efficiency": ("world_efficiency.py", 150.0),
    "lasting": ("world_lasting.py", 150.0),
    "explanations": ("world_explanations.py", 150.0),
    "ladder": ("world_ladder.py", 240.0),
}
GIGABYTES, RATIO = 4.0, 1.5  # targets of the world's run and of its update
UPDATES, REPEATS = 20, 5


def run_whole(name: str, workdir: Path) -> dict[str, dict[str, Any]]:
    config, most = RUNS[name]
    command = [sys.executable, "-m", "vcjax.main", f"--config={CONFIGS / config}"]
    command.append(f"--workdir={workdir / name}")
    process = psutil.Popen(command, env={**os.environ, **cpu.HUGE_PAGES}, stdout=sys.stderr)
    minutes, gigabytes = quickstart.run_whole(process)
    target = f"< {GIGABYTES:g}" if name == "world" else None
    holds = gigabytes < GIGABYTES if target else None
    return {
        f"{name}_minutes": figure(round(minutes, 1), f"<= {most:g}", minutes <= most),
        f"{name}_peak_memory_gb": figure(round(gigabytes, 2), target, holds),
    }


def figure(value: float, target: str | None, holds: bool | None) -> dict[str, Any]:
    return {"value": value, "target": target, "holds": holds}


def write_inputs(folder: Path) -> None:
    """The pretraining's model with random weights, and rows of its first texts."""
    made = runpy.run_path(str(CONFIGS / "world.py"))["get_config"]()
    config = configs.resolve(made, CONFIGS)
    stage, base = config.stages.people, scratch.find(config, CONFIGS)
    model = Model(base.architecture, None, "float32", "full")
    weights = jax.device_get(transformer.init_weights(model, jax.random.key(0)))

    def read(leaf: tuple[str, ...], layer: int | None, index: tuple[slice, ...]) -> np.ndarray:
        array = functools.reduce(lambda tree, key: tree[key], leaf, weights)
        return np.asarray(array if layer is None else array[layer])[index]

    cpu_inputs.write_model(folder / "model", base, read)
    rows = stage.batch_tokens // stage.length
    with stage.unlocked():
        stage.documents, stage.held_out = 8 * rows * (UPDATES + 1), 0
    records = stage_records(stage, 0, config, CONFIGS).train
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
    parser.add_argument("--only", help=f"some of {', '.join(RUNS)} and update, with commas between")
    parser.add_argument("--workdir", help="where the runs go; else a temporary folder")
    given = parser.parse_args()
    measured = given.only.split(",") if given.only else [*RUNS, "update"]
    unknown = {*measured} - {*RUNS, "update"}
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(RUNS)}, update")
    workdir, figures = Path(given.workdir or tempfile.mkdtemp()), {}
    for name in measured:
        figures |= beside_pytorch() if name == "update" else run_whole(name, workdir)
    ok = all(one["holds"] is not False for one in figures.values())
    print(json.dumps({**figures, "ok": ok}))


if __name__ == "__main__":
    main()
