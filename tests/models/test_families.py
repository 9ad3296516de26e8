"""Every family is that of `transformers`: logits, gradients, greedy text; packed or padded."""

import dataclasses

import jax
import numpy as np
import peers
import pytest
import tiny

from vcjax.models.architecture import Layer, Rope
from vcjax.training import train_step

LENGTH = 24
NEW_TOKENS = 8
loss_and_grads = jax.jit(jax.value_and_grad(train_step.summed_loss), static_argnums=3)


@pytest.fixture(params=tiny.FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def pair(torch, family):
    """(our weights, our model, the peer)."""
    architecture = tiny.FAMILIES[family]
    weights = tiny.weights(architecture)
    return weights, tiny.model(architecture), peers.llama(weights, architecture, family)


def their_logits(peer, ids):
    import torch

    with torch.no_grad():
        return peer(torch.tensor([ids])).logits[0].numpy()


@pytest.mark.parametrize("padding", ["left", "right"])
def test_logits_of_padded_texts(pair, padding):
    weights, model, peer = pair
    draw = np.random.default_rng(0)
    texts = [draw.integers(3, tiny.VOCAB_SIZE, n).tolist() for n in (LENGTH, 17, 5, 1)]
    batch = {n: np.zeros((4, LENGTH), np.int32) for n in ("tokens", "positions", "segment_ids")}
    places = []
    for row, ids in enumerate(texts):
        start = LENGTH - len(ids) if padding == "left" else 0
        here = slice(start, start + len(ids))
        batch["tokens"][row, here] = ids
        batch["positions"][row, here] = np.arange(len(ids))
        batch["segment_ids"][row, here] = 1
        places.append((row, here))
    ours = np.asarray(tiny.logits(weights, {}, batch, model))
    for place, ids in zip(places, texts, strict=True):
        theirs = their_logits(peer, ids)
        assert np.ptp(theirs) > 5  # far from uniform, so that the tolerance means something
        np.testing.assert_allclose(ours[place], theirs, atol=1e-4)


def test_packed_logits_and_gradients(pair):
    weights, model, peer = pair
    batch = tiny.batch(rows=2)
    documents = tiny.documents(batch)
    assert len(documents) > 4
    ours = np.asarray(tiny.logits(weights, {}, batch, model))[batch["segment_ids"] > 0]
    theirs = np.concatenate([their_logits(peer, d["tokens"][0].tolist()) for d in documents])
    np.testing.assert_allclose(ours, theirs, atol=1e-4)

    loss, grads = loss_and_grads(weights, {}, batch, model)
    their_loss = peers.summed_loss(peer, documents)
    their_loss.backward()
    assert float(loss) == pytest.approx(their_loss.item(), rel=1e-5)
    grads = peers.by_name(grads)
    for name, parameter in peer.named_parameters():
        expected = parameter.grad.numpy()
        error = np.linalg.norm(grads[name] - expected) / np.linalg.norm(expected)
        assert error < 1e-3, name


def test_greedy_text(torch, pair):
    """Every token that they generate is our most probable one after their tokens before it."""
    weights, model, peer = pair
    draw = np.random.default_rng(1)
    prompts = draw.integers(3, tiny.VOCAB_SIZE, (20, 6))
    texts = peer.generate(
        torch.from_numpy(prompts),
        attention_mask=torch.ones(prompts.shape, dtype=torch.long),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=-1,
        pad_token_id=0,
    ).numpy()
    assert len({tuple(text[6:]) for text in texts}) > 15
    batch = {
        "tokens": texts,
        "positions": np.broadcast_to(np.arange(texts.shape[1]), texts.shape),
        "segment_ids": np.ones_like(texts),
    }
    chosen = np.asarray(tiny.logits(weights, {}, batch, model)).argmax(-1)
    np.testing.assert_array_equal(chosen[:, 5:-1], texts[:, 6:])


def without(weights, names):
    """The weights without those norms or biases."""
    blocks = {
        name: {k: v for k, v in leaves.items() if not (k == "bias" and "bias" in names)}
        for name, leaves in weights["blocks"].items()
        if name not in names
    }
    return {**weights, "blocks": blocks}


def alike(layer):
    """A period of one."""
    return {"period": (layer,)}


@pytest.mark.parametrize(
    ("family", "plain", "names"),
    [
        ("llama3", alike(Layer(Rope(500000.0))), ()),
        ("qwen2", {"qkv_bias": False}, ("bias",)),
        ("qwen3", {"qk_norm": None}, ("q_norm", "k_norm")),
        ("mistral", alike(Layer(Rope(10000.0))), ()),
        ("granite", {"embedding_multiplier": 1.0}, ()),
        ("granite", {"attention_scale": None}, ()),
        ("granite", {"residual_multiplier": 1.0}, ()),
        ("granite", {"logit_divisor": 1.0}, ()),
        ("olmo2", {"qk_norm": None}, ("q_norm", "k_norm")),
        ("olmo3", alike(Layer(Rope(500000.0), tiny.WINDOW)), ()),
        ("gemma3", {"one_plus_norm": False}, ()),
        ("gemma3", {"activation": "silu"}, ()),
        ("gemma3", {"norms": "before"}, ("after_attention_norm", "after_mlp_norm")),
        ("gemma3", alike(Layer(Rope(10000.0), tiny.WINDOW)), ()),
        ("smollm3", alike(Layer(Rope(2000000.0))), ()),
    ],
)
def test_a_familys_option_matters(family, plain, names):
    """The options are no decoration: without its own, a family gives other logits."""
    batch, architecture = tiny.batch(rows=1), tiny.FAMILIES[family]
    weights = tiny.weights(architecture)
    other = tiny.model(dataclasses.replace(architecture, **plain))
    there = tiny.logits(weights, {}, batch, tiny.model(architecture))
    without_it = tiny.logits(without(weights, names), {}, batch, other)
    assert np.abs(np.asarray(there) - np.asarray(without_it)).max() > 0.01


def test_editing_one_document_moves_nothing_in_the_others(family):
    """Nor through a window, or what a multiplier scales."""
    architecture = tiny.FAMILIES[family]
    weights, model, batch = tiny.weights(architecture), tiny.model(architecture), tiny.batch(rows=2)
    first = batch["segment_ids"] == 1
    others = (batch["segment_ids"] > 1) & (batch["loss_weights"] > 0)
    batch["loss_weights"] = others.astype(np.float32)
    edited = {**batch, "tokens": np.where(first, batch["tokens"] + 7, batch["tokens"])}
    before, after = (np.asarray(tiny.logits(weights, {}, b, model)) for b in (batch, edited))
    assert not np.allclose(before[first], after[first])
    np.testing.assert_array_equal(before[~first], after[~first])
    gradients = [loss_and_grads(weights, {}, b, model)[1] for b in (batch, edited)]
    # An expert's gradient is a sum over its tokens, whose order the edited ones change.
    rounding = 0 if architecture.experts is None else 1e-6
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=rounding * np.abs(a).max()),
        *gradients,
    )
