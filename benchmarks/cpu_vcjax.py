"""vcjax's part of cpu.py: updates, scoring and matmuls on this machine's CPU, timed one by one.

    python benchmarks/cpu_vcjax.py FOLDER WORK ...

FOLDER: as cpu.py writes it. WORK: "rationale:TYPE" or "behavior:TYPE", the updates of a stage;
"scoring:TYPE", the probes; "body:TYPE" or "head:TYPE", a matmul. The first time of each, which
compiles, is left out. The last line is JSON: of each work the seconds of every time, the amount
that was done each time (tokens without padding, probes, GFLOP) and results to compare.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.config import experiment, recipe
from vcjax.data.rows import FIELDS
from vcjax.models.einsum import dot
from vcjax.probes import choice
from vcjax.probes.probe_files import read_file
from vcjax.training import compiled_step, loaded_model
from vcjax.training.loaded_model import LoadedModel
from vcjax.weights import pretrained


def load(folder: Path, compute_dtype: str) -> tuple[ConfigDict, LoadedModel]:
    settings = json.loads((folder / "settings.json").read_text())
    stage = recipe(**settings["recipe"])
    config = experiment(recipe=stage, compute_dtype=compute_dtype, remat=settings["remat"])
    return stage, loaded_model.load_model(config, pretrained.find(str(folder / "model")))


def updates(folder: Path, work: str, compute_dtype: str) -> dict[str, Any]:
    stage, loaded = load(folder, compute_dtype)
    rows = np.load(folder / f"{work}.npz")
    seconds, losses, tokens = [], [], []
    with jax.set_mesh(loaded.mesh):
        model, params, base = loaded.untouched(None, None)
        init, update = compiled_step.init_and_update(stage, model, loaded.mesh)
        state = init(params)
        for i in range(len(rows["tokens"])):
            batch = {name: rows[name][i][None] for name in FIELDS}
            began = time.perf_counter()
            placed = sharding.put_batch(batch, loaded.mesh)
            state, metrics = update(state, base, placed, np.float32(stage.lr))
            losses.append(float(metrics["loss"]))
            seconds.append(time.perf_counter() - began)
            tokens.append(int((batch["segment_ids"] > 0).sum()))
    return dict(seconds=seconds[1:], amount=float(np.mean(tokens[1:])), results=losses[:1])


def scoring(folder: Path, compute_dtype: str) -> dict[str, Any]:
    _, loaded = load(folder, compute_dtype)
    lead = json.loads((folder / "settings.json").read_text())["lead"]
    probes, tokenizer = read_file(folder / "probes.jsonl").probes, loaded.pretrained.tokenizer
    seconds = []
    with jax.set_mesh(loaded.mesh):
        model, params, base = loaded.untouched(None, None)
        for _ in range(2):
            began = time.perf_counter()
            table = choice.score(params, base, model, tokenizer, probes, lead)
            seconds.append(time.perf_counter() - began)
    results = table[["logprob_0", "logprob_1"]].to_numpy().ravel().tolist()
    return dict(seconds=seconds[1:], amount=len(probes), results=results)


def matmul(folder: Path, work: str, compute_dtype: str) -> dict[str, Any]:
    rows, inputs, outputs = json.loads((folder / "settings.json").read_text())["matmuls"][work]
    a, b = (jnp.full(size, 0.01, compute_dtype) for size in ((rows, inputs), (inputs, outputs)))
    multiply = jax.jit(lambda a, b: dot("ab,bc->ac", a, b))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        multiply(a, b).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return dict(seconds=seconds[1:], amount=2 * rows * inputs * outputs / 1e9, results=[])


def main() -> None:
    folder = Path(sys.argv[1])
    done = {}
    for work in sys.argv[2:]:
        kind, compute_dtype = work.split(":")
        if kind == "scoring":
            done[work] = scoring(folder, compute_dtype)
        elif (folder / f"{kind}.npz").exists():
            done[work] = updates(folder, kind, compute_dtype)
        else:
            done[work] = matmul(folder, kind, compute_dtype)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
