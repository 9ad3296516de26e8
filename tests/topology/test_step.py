"""The step that is compiled ahead of time is the one that a stage runs.

Compiled for a TPU it is in a process of its own, this file run as a program, where libtpu (the
extra `tpu`) is installed.
"""

import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vcjax import config, sharding
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.topology import chips, hlo, step
from vcjax.training import compiled_step, train_step
from vcjax.weights import placement

MESH = dict(replica=1, fsdp=-1, tensor=1, sequence=1)
FAMILIES = ("granite", "olmo2", "olmo3", "gemma3", "smollm3", "qwen3_moe")


def as_a_stage_runs_it(recipe, model, dtype, mesh):
    """The lowered update on arrays, placed as `loaded.py` and `stage.py` place them."""
    weights = tiny.weights(model.architecture)

    def read(leaf, layer, index):
        array = functools.reduce(lambda tree, key: tree[key], leaf, weights)
        return (array if layer is None else array[layer])[index]

    params, base = placement.load(read, model, dtype, mesh), {}
    if model.lora is not None:
        params, base = transformer.init_adapter(model, jax.random.key(0)), params
    params = jax.device_put(params, compiled_step.param_shardings(params, model, mesh))
    init, update = compiled_step.init_and_update(recipe, model, mesh)
    rows = recipe.batch_tokens // recipe.length
    batch = tiny.micro_batches(tiny.batch(rows, recipe.length), recipe.accumulation)
    with jax.set_mesh(mesh):
        rate = train_step.learning_rates(recipe, updates=10, warmup=2)[0]
        return update.lower(init(params), base, sharding.put_batch(batch, mesh), rate)


@pytest.mark.parametrize("train", ["lora", "full"])
@pytest.mark.parametrize("family", ["qwen2", "gemma3", "qwen3_moe"])
def test_the_program_is_the_same(train, family):
    recipe = config.recipe(length=32, batch_tokens=128, accumulation=2, train=train)
    lora = LoRA(4, 8.0) if train == "lora" else None
    model = tiny.model(tiny.FAMILIES[family], lora, compute_dtype="bfloat16")
    dtype = jnp.dtype("float32" if lora is None else "bfloat16")
    mesh = sharding.make_mesh(MESH)
    ahead = step.lower(recipe, model, dtype, mesh).as_text()
    assert ahead == as_a_stage_runs_it(recipe, model, dtype, mesh).as_text()
    assert "stablehlo.dot_general" in ahead


class Failing:
    """Stands for a lowered step that the compiler refuses."""

    def __init__(self, message):
        self.message = message

    def compile(self):
        raise jax.errors.JaxRuntimeError(self.message)


GIB = 2**30


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        ("RESOURCE_EXHAUSTED: Ran out of memory. Used 19.50G of 15.75G hbm.", 19.5 * GIB),
        ("RESOURCE_EXHAUSTED: temporaries (512.0M) exceeds available HBM (15.75G)", GIB / 2),
        ("RESOURCE_EXHAUSTED: in other words", None),
    ],
)
def test_out_of_memory_says_what_is_needed(message, needed):
    with pytest.raises(step.OutOfMemory) as caught:
        step.compile_step(Failing(message))
    assert caught.value.needed == needed


def test_another_error_of_the_compiler_is_not_hidden():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        step.compile_step(Failing("INTERNAL: a bug"))


def test_less_recomputation_keeps_more():
    recipe, mesh = config.recipe(length=32, batch_tokens=128), sharding.make_mesh(MESH)
    kept = [
        step.residual_bytes(recipe, tiny.model(remat=remat), np.float32, mesh)
        for remat in ("full", "offload", "attention", "none")
    ]
    assert 0 < kept[0] <= kept[1] < kept[2] < kept[3]


@pytest.fixture(scope="module")
def compiled():
    """What `main` below prints, from its own process."""
    root = Path(__file__).parents[2]
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env["PYTHONPATH"] = os.pathsep.join(map(str, (root, root / "tests")))
    done = subprocess.run(
        [sys.executable, __file__], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra `tpu`)"
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_step_compiles_for_a_tpu(compiled, family):
    """With its kernel for attention in each layer, forward and backward."""
    assert compiled[family] >= 3 * tiny.FAMILIES[family].num_layers


def main():
    mesh = sharding.make_mesh(MESH, chips.parse("v5e:2x2", 1).devices())
    recipe = config.recipe(length=512, batch_tokens=2048, rank=4)
    kernels = {}
    for family in FAMILIES:
        architecture = dataclasses.replace(tiny.FAMILIES[family], head_dim=128)
        model = Model(architecture, LoRA(4, 8.0), "bfloat16", "middle", "splash")
        lowered = step.lower(recipe, model, jnp.dtype("bfloat16"), mesh)
        kernels[family] = hlo.count(step.compile_step(lowered).as_text()).kernels
    print(json.dumps(kernels))


if __name__ == "__main__":
    main()
