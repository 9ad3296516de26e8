"""What is only stored is stored as it was; a CPU touches a layer of it at a time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vcjax.models import bits, transformer
from vcjax.models.lora import LoRA
from vcjax.training import train_step

SAVE_IT = jax.checkpoint_policies.save_only_these_names("it")


def test_bits_are_those_of_the_number_and_come_back():
    numbers = [1.0, -2.5, 0.0, -0.0, 1e-40, 3e38, float("inf"), float("nan")]
    x = jnp.asarray(numbers, jnp.bfloat16)
    stored = bits.to_bits(x)
    assert stored.dtype == jnp.uint16
    assert stored[0] == 0x3F80  # 1: no sign, an exponent of 127, no fraction
    np.testing.assert_array_equal(bits.from_bits(stored).view(jnp.uint16), x.view(jnp.uint16))
    np.testing.assert_array_equal(np.asarray(stored), bits.to_bits(np.asarray(x)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.int32])
def test_all_else_is_left_alone(dtype):
    x = jnp.arange(3, dtype=dtype)
    assert bits.to_bits(x) is x and bits.from_bits(x) is x


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_policy_finds_the_name_and_gradients_go_through(dtype):
    x = jnp.asarray([0.3, -1.2], dtype)

    def function(x):
        return jnp.sin(bits.saveable(jnp.sin(x), "it")).astype(jnp.float32).sum()

    remat = jax.checkpoint(function, policy=SAVE_IT)
    np.testing.assert_array_equal(
        jax.grad(remat)(x), jax.grad(lambda x: jnp.sin(jnp.sin(x)).sum())(x)
    )
    saved = jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(remat, x)[1], x))
    kind = "uint16" if dtype == "bfloat16" else "float32"
    assert sorted(str(s.dtype) for s in saved if s.shape == x.shape) == sorted([dtype, kind])


def test_on_a_cpu_no_layer_converts_what_all_layers_keep():
    """A program of bfloat16: all layers' values [layer, batch, length, ...] appear as bits only."""
    model = tiny.model(lora=LoRA(4, 8), compute_dtype="bfloat16", remat="dots")
    weights = jax.tree.map(lambda w: w.astype(jnp.bfloat16), tiny.weights())
    base = {**weights, "blocks": jax.tree.map(bits.to_bits, weights["blocks"])}
    adapter = transformer.init_adapter(model, jax.random.key(0))
    batch = tiny.batch(rows=5)
    update = jax.jit(jax.grad(train_step.summed_loss), static_argnums=3)
    program = update.lower(adapter, base, batch, model).compile().as_text()
    of_all_layers = rf"\[{model.architecture.num_layers},5,[\d,]*\]"
    assert re.search(f"u16{of_all_layers}", program)
    assert not re.findall(rf"bf16{of_all_layers}.*", program)
