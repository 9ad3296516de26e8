"""The chunked head is the plain one, and a training step holds no logits of a whole batch."""

import dataclasses
import functools
import json
import math
import re

import eight_devices
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import NamedSharding, PartitionSpec

from vcjax import config, sharding
from vcjax.models import head, transformer
from vcjax.models.lora import LoRA
from vcjax.training import train_step

EMBED, VOCAB = 16, 50


@pytest.fixture
def chunk_of_8(monkeypatch):
    monkeypatch.setattr(head, "CHUNK", 8)


def inputs(rows=3, length=21, share=0.5):
    """hidden, head, targets, weights; about `share` of the tokens have one, and it is uneven."""
    draw = np.random.default_rng(length)
    weights = draw.uniform(0.2, 2, (rows, length)) * (draw.random((rows, length)) < share)
    return (
        draw.standard_normal((rows, length, EMBED)).astype(np.float32),
        draw.standard_normal((VOCAB, EMBED)).astype(np.float32),
        draw.integers(0, VOCAB, (rows, length)).astype(np.int32),
        weights.astype(np.float32),
    )


def plain(hidden, matrix, targets, weights):
    log_probs = jax.nn.log_softmax(jnp.einsum("bld,vd->blv", hidden, matrix))
    return -jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0] * weights


def check(hidden, matrix, targets, weights):
    ours = jax.value_and_grad(head.summed_loss, argnums=(0, 1))(
        hidden, matrix, targets, weights, "float32"
    )
    theirs = jax.value_and_grad(lambda *a: plain(*a).sum(), argnums=(0, 1))(
        hidden, matrix, targets, weights
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), ours, theirs)
    np.testing.assert_allclose(
        head.negative_log_likelihood(hidden, matrix, targets, weights, "float32"),
        plain(hidden, matrix, targets, weights),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("length", [5, 8, 21, 24])
def test_loss_and_gradients_are_those_of_log_softmax(chunk_of_8, length):
    check(*inputs(length=length))


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_whatever_the_share_of_weighted_tokens(chunk_of_8, share):
    check(*inputs(share=share))


def test_rows_without_weight_have_no_loss_and_no_gradient(chunk_of_8):
    hidden, matrix, targets, weights = inputs()
    weights[1] = 0
    check(hidden, matrix, targets, weights)
    grad = jax.grad(head.summed_loss)(hidden, matrix, targets, weights, "float32")
    assert not grad[weights == 0].any()
    assert grad[weights > 0].any(axis=-1).all()


def test_what_has_no_weight_may_hold_anything(chunk_of_8):
    """Chunks without a weighted token are skipped: a NaN there would show."""
    hidden, matrix, targets, weights = inputs(rows=2)
    weights[:, 6:] = 0
    spoilt = hidden.copy()
    spoilt[:, 10:] = np.nan  # the first chunk takes the 6 weighted tokens and the next two
    assert np.isnan(spoilt).any()
    results = [head.summed_loss(x, matrix, targets, weights, "float32") for x in (hidden, spoilt)]
    assert results[0] == results[1]


def test_a_frozen_head_gets_the_same_hidden_gradient(chunk_of_8):
    hidden, matrix, targets, weights = inputs()
    frozen = jax.grad(head.summed_loss)(hidden, matrix, targets, weights, "float32")
    trained, _ = jax.grad(head.summed_loss, argnums=(0, 1))(
        hidden, matrix, targets, weights, "float32"
    )
    np.testing.assert_array_equal(frozen, trained)


def test_gradients_scale_with_what_follows_the_loss(chunk_of_8):
    arguments = (*inputs(), "float32")
    one = jax.grad(head.summed_loss, argnums=(0, 1))(*arguments)
    three = jax.grad(lambda *a: 3 * head.summed_loss(*a, *arguments[2:]), argnums=(0, 1))(
        *arguments[:2]
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(3 * a, b, rtol=1e-6), one, three)


def test_bfloat16_hidden_states_keep_their_type_and_master_weights_theirs(chunk_of_8):
    hidden, matrix, targets, weights = inputs()
    rounded = jnp.asarray(hidden, jnp.bfloat16)
    loss, (grad_hidden, grad_head) = jax.value_and_grad(head.summed_loss, argnums=(0, 1))(
        rounded, matrix, targets, weights, "bfloat16"
    )
    assert (loss.dtype, grad_hidden.dtype, grad_head.dtype) == (
        jnp.float32,
        jnp.bfloat16,
        jnp.float32,
    )
    assert float(loss) == pytest.approx(float(plain(*inputs()).sum()), rel=0.01)


# --- What a training step's program holds

# Every size is its own, so that a number in the program can mean one thing only.
ROWS, LENGTH = 3, 300
ODD = dataclasses.replace(tiny.ARCHITECTURE, embed_dim=40, mlp_dim=56, head_dim=10, vocab_size=509)


def lowered_step(lora, loss=train_step.summed_loss):
    model, weights = tiny.model(ODD, lora), tiny.weights(ODD)
    if lora is not None:
        weights |= transformer.init_adapter(model, jax.random.key(0))
    params, base = tiny.split(weights, model)
    optimizer = train_step.make_optimizer(config.recipe())
    step = functools.partial(
        train_step.train_step, loss=functools.partial(loss, model=model), optimizer=optimizer
    )
    batch = tiny.batch(ROWS, LENGTH, vocab_size=ODD.vocab_size)
    state = train_step.init_state(params, optimizer)
    batch = tiny.micro_batches(batch, 1)
    return jax.jit(step).lower(state, base, batch, np.float32(1e-3)).as_text()


def arrays(program):
    """The shapes of all arrays that a lowered program names."""
    shapes = set(re.findall(r"tensor<((?:\d+x)+)[a-z]", program))
    return [tuple(map(int, shape.split("x")[:-1])) for shape in shapes]


def logits_positions(program):
    """For how many positions at once there are logits, at most."""
    weights = [
        (ODD.vocab_size, ODD.embed_dim),
        (ODD.embed_dim, ODD.vocab_size),
    ]
    return max(
        math.prod(shape) // ODD.vocab_size
        for shape in arrays(program)
        if ODD.vocab_size in shape and shape not in weights
    )


def weight_gradients(program):
    """Shapes of frozen or trained matrices, either way round, that a matmul or a scatter makes."""
    kernels = {
        *map(_sorted, ODD.projections.values()),
        (ODD.embed_dim, ODD.vocab_size),
    }
    made = re.findall(r"stablehlo\.dot_general.*-> tensor<((?:\d+x)+)[a-z]", program)
    made += re.findall(r"\}\) : \(.*\) -> tensor<((?:\d+x)+)[a-z]", program)  # a scatter's end
    return kernels & {_sorted(map(int, shape.split("x")[:-1])) for shape in made}


def _sorted(shape):
    return tuple(sorted(shape))


def full_logits_loss(params, base, micro, model):
    x = tiny.logits(params, base, micro, model)
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(x), micro["targets"][..., None], -1)
    return -(log_probs[..., 0] * micro["loss_weights"]).sum()


@pytest.mark.parametrize("lora", [LoRA(4, 8), None], ids=["lora", "full"])
def test_a_training_step_holds_no_logits_of_the_whole_batch(lora):
    assert 2 * head.CHUNK < LENGTH <= 3 * head.CHUNK
    assert logits_positions(lowered_step(lora)) == ROWS * LENGTH / 3
    assert logits_positions(lowered_step(lora, full_logits_loss)) >= ROWS * LENGTH


def test_a_lora_step_makes_no_gradient_of_frozen_weights():
    assert weight_gradients(lowered_step(LoRA(4, 8))) == set()
    assert len(weight_gradients(lowered_step(None))) == 4  # the test does find them


# --- On eight devices, which do not divide the vocabulary of 50


@pytest.fixture(scope="module")
def on_eight_devices():
    """What `main` below prints, from its own process."""
    return eight_devices.said_by(__file__)


def test_devices_that_do_not_divide_the_vocabulary_share_it(on_eight_devices):
    """Each has seven classes; six of the last one's are rows of zeros."""
    assert on_eight_devices["difference"] < 1e-5
    assert on_eight_devices["logits"] == [[8 * 5, 7]]  # rows x positions, classes


def main():
    arguments = inputs(rows=8, length=5)
    of_one = jax.value_and_grad(lambda *a: plain(*a, *arguments[2:]).sum(), argnums=(0, 1))
    loss = lambda *a: head.summed_loss(*a, *arguments[2:], "float32")  # noqa: E731
    mesh = sharding.make_mesh(dict(replica=1, fsdp=4, tensor=2, sequence=1))
    with jax.set_mesh(mesh):
        by_row, by_size = PartitionSpec(("replica", "fsdp")), PartitionSpec(None, "fsdp")
        placed = [
            jax.device_put(x, NamedSharding(mesh, spec))
            for x, spec in zip(arguments[:2], (by_row, by_size), strict=True)
        ]
        compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*placed).compile()
        found = compiled(*placed)
    expected, found = (jax.tree.map(np.asarray, x) for x in (of_one(*arguments[:2]), found))
    away = optax.tree.norm(jax.tree.map(np.subtract, found, expected))
    made = re.findall(r"= f32\[([\d,]+)\]\S* dot\(", compiled.as_text())
    shapes = [[*map(int, sizes.split(","))] for sizes in made]
    print(
        json.dumps(
            {
                "difference": float(away / optax.tree.norm(expected)),
                "logits": [[math.prod(s[:-1]), s[-1]] for s in shapes if s[-1] != EMBED],
            }
        )
    )


if __name__ == "__main__":
    main()
