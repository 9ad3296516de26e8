"""The step that is compiled ahead of time is the one that a stage runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vcjax import config, sharding
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.topology import step
from vcjax.training import compiled_step, train_step
from vcjax.weights import placement

MESH = dict(replica=1, fsdp=-1, tensor=1, sequence=1)


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
def test_the_program_is_the_same(train):
    recipe = config.recipe(length=32, batch_tokens=128, accumulation=2, train=train)
    lora = LoRA(4, 8.0) if train == "lora" else None
    model = tiny.model(tiny.FAMILIES["qwen2"], lora, compute_dtype="bfloat16")
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
