"""One update: the same however the batch is cut, and nothing moves that should not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from vcjax import config
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.training import train_step

ROWS = 8
LR = np.float32(1e-3)

# Hands gradients on as they are and keeps them as its state, where a test can see them.
record = optax.GradientTransformation(
    init=lambda params: jax.tree.map(jnp.zeros_like, params),
    update=lambda grads, state, params=None: (grads, grads),
)


@functools.cache
def setup(train):
    """(params, base, optimizer, jitted step) of LoRA or full fine-tuning, without donation."""
    model = tiny.model(lora=LoRA(4, 8) if train == "lora" else None)
    weights = tiny.weights()
    if train == "lora":
        weights |= tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))
    params, base = tiny.split(weights, model)
    recipe = config.recipe(lr=1e-3, train=train)
    optimizer = optax.chain(record, train_step.make_optimizer(recipe))
    loss = functools.partial(train_step.summed_loss, model=model)
    step = functools.partial(train_step.train_step, loss=loss, optimizer=optimizer)
    return params, base, optimizer, jax.jit(step)


def run(train, accumulation, updates):
    """(losses, gradients of the first update, state at the end)."""
    params, base, optimizer, step = setup(train)
    state, losses, first = train_step.init_state(params, optimizer), [], None
    rates = train_step.learning_rates(config.recipe(lr=1e-3), updates=10, warmup=2)
    for seed in range(updates):
        batch = tiny.batch(ROWS, seed=seed)
        state, metrics = step(state, base, tiny.micro_batches(batch, accumulation), rates[seed])
        losses.append(float(metrics["loss"]))
        first = first or state.opt_state[0]
    return losses, first, state


def relative(a, b):
    """|a - b| / |b| over all leaves."""
    difference = optax.tree.norm(jax.tree.map(jnp.subtract, a, b))
    return float(difference / optax.tree.norm(b))


@pytest.mark.parametrize("train", ["lora", "full"])
def test_micro_batches_change_nothing(train):
    weights = tiny.micro_batches(tiny.batch(ROWS), 4)["loss_weights"].sum(axis=(1, 2))
    assert weights.max() > 2 * weights.min()  # or a mean of means would pass as well
    losses, grads, _ = run(train, 1, updates=10)
    cut_losses, cut_grads, _ = run(train, 4, updates=10)
    assert abs(losses[-1] - losses[0]) > 0.02
    np.testing.assert_allclose(cut_losses, losses, rtol=1e-5)
    assert relative(cut_grads, grads) < 1e-5


def test_one_row_eight_times_is_eight_rows_once():
    losses, grads, _ = run("lora", 1, updates=3)
    cut_losses, cut_grads, _ = run("lora", ROWS, updates=3)
    np.testing.assert_allclose(cut_losses, losses, rtol=1e-5)
    assert relative(cut_grads, grads) < 1e-5


def test_the_loss_is_the_mean_over_weighted_tokens():
    params, base, optimizer, step = setup("lora")
    model, batch = tiny.model(lora=LoRA(4, 8)), tiny.batch(ROWS)
    log_probs = jax.nn.log_softmax(tiny.logits(params, base, batch, model))
    losses = -np.take_along_axis(np.asarray(log_probs), batch["targets"][..., None], -1)[..., 0]
    state = train_step.init_state(params, optimizer)
    _, metrics = step(state, base, tiny.micro_batches(batch, 4), LR)
    assert float(metrics["weighted_tokens"]) == batch["loss_weights"].sum()
    expected = np.average(losses, weights=batch["loss_weights"])
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)


def test_rows_of_padding_change_nothing():
    params, base, optimizer, step = setup("lora")
    state = train_step.init_state(params, optimizer)
    batch = tiny.micro_batches(tiny.batch(ROWS), 4)
    padded = {n: np.concatenate([a, np.zeros_like(a)]) for n, a in batch.items()}
    (plain, metrics), (with_padding, padded_metrics) = (
        step(state, base, b, LR) for b in (batch, padded)
    )
    np.testing.assert_allclose(padded_metrics["loss"], metrics["loss"], rtol=1e-6)
    assert relative(with_padding.opt_state[0], plain.opt_state[0]) < 1e-6


def test_a_batch_without_weight_has_no_loss_and_no_gradient():
    """A row of a split demonstration may hold its user's turn alone."""
    params, base, optimizer, step = setup("lora")
    batch = tiny.batch(ROWS)
    batch["loss_weights"] = np.zeros_like(batch["loss_weights"])
    state, metrics = step(
        train_step.init_state(params, optimizer), base, tiny.micro_batches(batch, 2), LR
    )
    assert float(metrics["loss"]) == float(metrics["grad_norm"]) == 0
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize("train", ["lora", "full"])
def test_every_weight_that_trains_moves(train):
    params, _, _, _ = setup(train)
    _, _, state = run(train, 4, updates=2)  # the first has rate 0
    assert int(state.step) == 2
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), params, state.params)
    assert all(jax.tree.leaves(moved)), moved
    assert {x.dtype for x in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}


def test_the_first_update_of_a_warm_up_moves_nothing():
    params, _, _, _ = setup("lora")
    _, _, state = run("lora", 1, updates=1)
    jax.tree.map(np.testing.assert_array_equal, state.params, params)


def test_the_state_can_be_donated_whole_and_the_base_stays():
    """Every leaf of the state that comes in is used for one that goes out."""
    params, base, _, _ = setup("lora")
    optimizer = train_step.make_optimizer(config.recipe())
    loss = functools.partial(train_step.summed_loss, model=tiny.model(lora=LoRA(4, 8)))
    step = functools.partial(train_step.train_step, loss=loss, optimizer=optimizer)
    state = jax.tree.map(jnp.array, train_step.init_state(params, optimizer))
    base = jax.device_put(base)
    batch = jax.device_put(tiny.micro_batches(tiny.batch(ROWS), 4))
    new, _ = jax.jit(step, donate_argnums=0)(state, base, batch, LR)
    kept = [
        jax.tree_util.keystr(path)
        for path, x in jax.tree_util.tree_leaves_with_path(state)
        if not x.is_deleted()
    ]
    assert kept == []
    assert not any(x.is_deleted() for x in jax.tree.leaves((new, base, batch)))


# --- Optimizer and schedule


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_rates_are_those_of_transformers(torch, schedule, warmup):
    import transformers

    updates, recipe = 20, config.recipe(lr=3e-3, schedule=schedule)
    ours = train_step.learning_rates(recipe, updates, warmup)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    make = getattr(transformers, f"get_{schedule}_schedule_with_warmup")
    theirs, rates = make(optimizer, warmup, updates), []
    for _ in range(updates):
        rates.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    np.testing.assert_allclose(ours, rates, atol=1e-9)


def zero_gradient_updates(params):
    optimizer = train_step.make_optimizer(config.recipe(weight_decay=0.5))
    zeros = jax.tree.map(jnp.zeros_like, params)
    return optimizer.update(zeros, optimizer.init(params), params)[0]


@pytest.mark.parametrize("architecture", [tiny.UNTIED, *tiny.FAMILIES.values()])
def test_matrices_decay_and_norms_and_biases_do_not(architecture):
    params = tiny.weights(architecture)
    updates = zero_gradient_updates(params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
        weight = functools.reduce(lambda tree, key: tree[key.key], path, params)
        is_vector = weight.ndim == 1 or path[-1].key in ("scale", "bias")
        expected = 0 * weight if is_vector else 0.5 * weight
        np.testing.assert_allclose(update, expected, rtol=1e-5, atol=1e-9, err_msg=str(path))


def test_adapters_decay():
    model = tiny.model(lora=LoRA(4, 8))
    params = tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))
    updates = zero_gradient_updates(params)
    jax.tree.map(lambda u, w: np.testing.assert_allclose(u, 0.5 * w, rtol=1e-5), updates, params)


def test_large_gradients_are_clipped_as_a_whole():
    recipe = config.recipe(clip=2.0, weight_decay=0.0, b1=0.0)
    optimizer = train_step.make_optimizer(recipe)
    params = {"q": jnp.zeros(2), "k": jnp.zeros(1)}
    grads = {"q": jnp.array([30.0, 0.0]), "k": jnp.array([40.0])}
    _, state = optimizer.update(grads, optimizer.init(params), params)
    moments = optax.tree.get(state, "mu")
    np.testing.assert_allclose(moments["q"], [1.2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(moments["k"], [1.6], rtol=1e-6)
