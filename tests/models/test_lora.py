"""Adapters: what they add, how they start, and that they train as `peft` and PyTorch train them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import peers
import pytest
import tiny
from ml_collections import ConfigDict

from vcjax import config
from vcjax.models import transformer
from vcjax.models.lora import LoRA, init_a
from vcjax.training import train_step

UPDATES, WARMUP, LR = 5, 2, 5e-3


@pytest.mark.parametrize(("rank", "alpha", "scale"), [(8, 16, 2), (8, 20, 2.5), (4, 2, 0.5)])
def test_the_scale_is_alpha_over_rank(rank, alpha, scale):
    assert LoRA(rank, alpha).scale == scale


def test_a_starts_uniform_and_b_at_zero():
    a = init_a(jax.random.key(0), (400, 50))
    bound = 400**-0.5
    assert 0.99 * bound < np.abs(a).max() <= bound
    assert float(a.std()) == pytest.approx(bound / 3**0.5, rel=0.02)

    model = tiny.model(lora=LoRA(4, 8))
    adapter = transformer.init_adapter(model, jax.random.key(0))["adapter"]
    for name, (inputs, outputs) in tiny.ARCHITECTURE.projections.items():
        assert adapter[name]["a"].shape == (2, inputs, 4)
        assert adapter[name]["b"].shape == (2, 4, outputs)
        assert not adapter[name]["b"].any()
        assert not np.array_equal(*adapter[name]["a"])  # layers differ
    starts = [adapter[name]["a"][0, :4, 0] for name in ("q", "k", "gate")]
    assert not np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


def test_the_seed_decides_the_start():
    model = tiny.model(lora=LoRA(4, 8))
    first, again, other = (
        transformer.init_adapter(model, jax.random.key(seed))["adapter"]["q"]["a"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_adapter_is_its_product_added_to_the_kernel():
    lora = LoRA(4, 12)
    model, weights, batch = tiny.model(lora=lora), tiny.weights(), tiny.batch(rows=1)
    adapter = tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))["adapter"]
    merged = {name: dict(leaves) for name, leaves in weights["blocks"].items()}
    for name, ab in adapter.items():
        merged[name]["kernel"] = merged[name]["kernel"] + lora.scale * ab["a"] @ ab["b"]
    np.testing.assert_allclose(
        tiny.logits({"adapter": adapter}, weights, batch, model),
        tiny.logits({}, {**weights, "blocks": merged}, batch, tiny.model()),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("family", "alpha"), [("smollm2", 16), *((family, 20) for family in tiny.FAMILIES)]
)
def test_five_updates_follow_peft_and_pytorch(torch, family, alpha):
    """AdamW, clipping, warm-up, cosine, weight decay, accumulation, ragged masks; float32."""
    architecture = tiny.FAMILIES[family]
    model, weights = (
        tiny.model(architecture, lora=LoRA(rank=8, alpha=alpha)),
        tiny.weights(architecture),
    )
    adapter = transformer.init_adapter(model, jax.random.key(0))
    recipe = config.recipe(lr=LR, schedule="cosine", weight_decay=0.01, clip=1.0)
    batches = [tiny.batch(rows=4, seed=seed) for seed in range(UPDATES)]

    their_losses, their_norms, their_adapter = _train_with_peft(
        peers.llama(weights, architecture, family), adapter["adapter"], alpha, recipe, batches
    )
    losses, norms, trained = _train(model, adapter, weights, recipe, batches)

    assert min(norms) > recipe.clip  # so that clipping takes part
    assert max(losses) - min(losses) > 0.01 * losses[0]  # and training
    np.testing.assert_allclose(losses, their_losses, rtol=1e-3)
    np.testing.assert_allclose(norms, their_norms, rtol=1e-3)
    for name, theirs in their_adapter.items():
        path, layer = name
        ours = trained["adapter"][path[0]][path[1]][layer]
        np.testing.assert_allclose(ours, theirs, atol=LR / 20, err_msg=str(name))


def _train(model, adapter, weights, recipe: ConfigDict, batches):
    rates = train_step.learning_rates(recipe, UPDATES, WARMUP)
    optimizer = train_step.make_optimizer(recipe)
    update = jax.jit(
        functools.partial(
            train_step.train_step,
            loss=functools.partial(train_step.summed_loss, model=model),
            optimizer=optimizer,
        )
    )
    state, losses, norms = train_step.init_state(adapter, optimizer), [], []
    for batch, rate in zip(batches, rates, strict=True):
        state, metrics = update(state, weights, tiny.micro_batches(batch, 2), rate)
        losses.append(float(metrics["loss"]))
        norms.append(float(metrics["grad_norm"]))
    return losses, norms, jax.tree.map(jnp.asarray, state.params)


def _train_with_peft(peer, adapter, alpha, recipe: ConfigDict, batches):
    """Losses, gradient norms, and {((projection, "a" or "b"), layer): matrix} at the end."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import get_cosine_schedule_with_warmup

    modules = [path.split(".")[1] for name, path in peers.PROJECTIONS.items() if name in adapter]
    settings = LoraConfig(r=8, lora_alpha=alpha, target_modules=modules, task_type="CAUSAL_LM")
    peer = get_peft_model(peer, settings)
    named = dict(peer.named_parameters())
    matrices = {
        ((name, part), layer): named[
            f"base_model.model.model.layers.{layer}.{path}.lora_{part.upper()}.default.weight"
        ]
        for name, path in peers.PROJECTIONS.items()
        if name in adapter
        for part in ("a", "b")
        for layer in range(len(adapter[name]["a"]))
    }
    with torch.no_grad():
        for ((name, part), layer), matrix in matrices.items():
            matrix.copy_(torch.from_numpy(np.array(adapter[name][part][layer]).T))
    trainable = [p for p in peer.parameters() if p.requires_grad]
    assert len(trainable) == len(matrices)

    optimizer = torch.optim.AdamW(trainable, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, UPDATES)
    losses, norms = [], []
    for batch in batches:
        total = peers.summed_loss(peer, tiny.documents(batch)) / batch["loss_weights"].sum()
        optimizer.zero_grad()
        total.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trainable, recipe.clip).item())
        optimizer.step()
        schedule.step()
        losses.append(total.item())
    return losses, norms, {key: m.detach().numpy().T for key, m in matrices.items()}
