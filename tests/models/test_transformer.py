"""The decoder is `transformers`' Llama, and a packed document does not know its neighbours."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import peers
import pytest
import tiny

from vcjax.models import transformer
from vcjax.models.bits import to_bits
from vcjax.models.lora import LoRA
from vcjax.training import train_step

LORA = LoRA(rank=4, alpha=12)

loss_and_grads = jax.jit(jax.value_and_grad(train_step.summed_loss), static_argnums=3)


def relative(a, b):
    """|a - b| / |b| over all elements."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("architecture", [tiny.ARCHITECTURE, tiny.UNTIED], ids=["tied", "untied"])
def test_logits_and_gradients_are_those_of_transformers(torch, architecture):
    weights, model, batch = tiny.weights(architecture), tiny.model(architecture), tiny.batch(rows=2)
    peer = peers.llama(weights, architecture)
    documents = tiny.documents(batch)

    ours = np.asarray(tiny.logits(weights, {}, batch, model))[batch["segment_ids"] > 0]
    with torch.no_grad():
        theirs = np.concatenate(
            [peer(torch.from_numpy(d["tokens"]).long()).logits[0].numpy() for d in documents]
        )
    assert np.ptp(theirs) > 5  # far from uniform, so that the tolerance means something
    np.testing.assert_allclose(ours, theirs, atol=1e-4)

    our_loss, our_grads = loss_and_grads(weights, {}, batch, model)
    their_loss = peers.summed_loss(peer, documents)
    their_loss.backward()
    assert float(our_loss) == pytest.approx(their_loss.item(), rel=1e-5)
    our_grads = peers.by_name(our_grads)
    for name, parameter in peer.named_parameters():
        assert relative(our_grads[name], parameter.grad) < 1e-3, name


def test_packed_documents_have_the_logits_and_gradients_of_documents_alone():
    weights, model, packed = tiny.weights(), tiny.model(lora=LORA), tiny.batch(rows=2)
    adapter = tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))
    alone = tiny.unpacked(packed)
    assert len(alone["tokens"]) > 4
    results = [
        (
            np.asarray(tiny.logits(adapter, weights, batch, model))[batch["segment_ids"] > 0],
            *loss_and_grads(adapter, weights, batch, model),
        )
        for batch in (packed, alone)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4), *results)


@pytest.mark.parametrize("compute_dtype", ["float32", "bfloat16"])
def test_editing_one_document_moves_nothing_in_the_others(compute_dtype):
    weights, batch = tiny.weights(), tiny.batch(rows=2)
    model = tiny.model(compute_dtype=compute_dtype)
    first = batch["segment_ids"] == 1
    others = (batch["segment_ids"] > 1) & (batch["loss_weights"] > 0)
    assert first.any() and others.any()
    batch["loss_weights"] = others.astype(np.float32)
    edited = {**batch, "tokens": np.where(first, batch["tokens"] + 7, batch["tokens"])}

    before, after = (np.asarray(tiny.logits(weights, {}, b, model)) for b in (batch, edited))
    assert not np.allclose(before[first], after[first])
    np.testing.assert_array_equal(before[~first], after[~first])
    grads = [loss_and_grads(weights, {}, b, model)[1] for b in (batch, edited)]
    jax.tree.map(np.testing.assert_array_equal, *grads)


def test_a_token_sees_nothing_after_it():
    weights, model = tiny.weights(), tiny.model()
    batch = {**tiny.batch(rows=2), "segment_ids": np.ones((2, 24), np.int32)}
    edited = {**batch, "tokens": batch["tokens"].copy()}
    edited["tokens"][0, 15] += 1
    before, after = (np.asarray(tiny.logits(weights, {}, b, model))[0] for b in (batch, edited))
    np.testing.assert_array_equal(before[:15], after[:15])
    assert (np.abs(before[15:] - after[15:]).max(axis=1) > 1e-3).all()


def test_positions_count_by_their_differences():
    weights, model, batch = tiny.weights(), tiny.model(), tiny.batch(rows=2)
    moved = {**batch, "positions": batch["positions"] + 100}
    stretched = {**batch, "positions": batch["positions"] * 2}
    here = batch["segment_ids"] > 0
    plain, moved, stretched = (
        np.asarray(tiny.logits(weights, {}, b, model))[here] for b in (batch, moved, stretched)
    )
    np.testing.assert_allclose(plain, moved, atol=1e-3)
    assert np.abs(plain - stretched).max() > 0.1


@pytest.mark.parametrize("family", ["smollm2", "olmo3", "gemma3", "qwen3_moe"])
def test_what_is_recomputed_changes_neither_loss_nor_gradients(family):
    architecture, batch = tiny.FAMILIES[family], tiny.batch(rows=2)
    weights = tiny.weights(architecture)
    results = [
        loss_and_grads(weights, {}, batch, tiny.model(architecture, remat=remat))
        for remat in transformer.REMAT_POLICIES
    ]
    for other in results[1:]:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), results[0], other
        )


@pytest.mark.parametrize("family", ["smollm2", "olmo3", "gemma3", "qwen3_moe"])
def test_remat_policies_keep_what_they_say(family):
    """And no more: beside it, the attention's normalisers and what every policy keeps."""
    architecture, batch = tiny.FAMILIES[family], tiny.batch(rows=2)
    weights = tiny.weights(architecture)
    adapter = transformer.init_adapter(tiny.model(architecture, LORA), jax.random.key(0))
    a_layer = architecture.num_layers * batch["tokens"].size

    def stored(remat):
        model = tiny.model(architecture, LORA, remat=remat)
        hidden = functools.partial(transformer.hidden, base=weights, batch=batch, model=model)
        residuals = jax.eval_shape(lambda a: jax.vjp(hidden, a)[1], adapter)
        return sum(x.size for x in jax.tree.leaves(residuals))

    saved = functools.partial(transformer.saved_values, architecture, LORA.rank)
    for remat in ("attended", "middle", "attention", "gate", "dots"):
        more = saved(remat) - saved("full") + architecture.num_heads
        assert stored(remat) - stored("full") == a_layer * more, remat
    assert stored("none") > stored("dots")


def test_bfloat16_is_close_to_float32():
    weights, batch = tiny.weights(), tiny.batch(rows=2)
    exact = tiny.logits(weights, {}, batch, tiny.model())
    rounded = tiny.logits(weights, {}, batch, tiny.model(compute_dtype="bfloat16"))
    assert relative(rounded, exact) < 0.03


@pytest.mark.parametrize("family", [*tiny.FAMILIES])
def test_full_fine_tuning_trains_every_weight(family):
    architecture = tiny.FAMILIES[family]
    weights, model = tiny.weights(architecture), tiny.model(architecture)
    params, base = tiny.split(weights, model)
    assert params is weights
    assert base == {}
    assert sum(x.size for x in jax.tree.leaves(weights)) == architecture.num_params()
    check_axes(transformer.logical_axes(model), weights)
    _, grads = loss_and_grads(params, base, tiny.batch(rows=2), model)
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert grad.dtype == jnp.float32
        assert np.abs(grad).max() > 1e-3, path


def test_lora_trains_the_adapter_alone():
    model = tiny.model(lora=LORA)
    weights = {**tiny.weights(), **transformer.init_adapter(model, jax.random.key(0))}
    params, base = tiny.split(weights, model)
    assert params.keys() == {"adapter"}
    assert base.keys() == {"embed", "blocks", "norm"}
    assert params["adapter"].keys() == tiny.ARCHITECTURE.projections.keys()
    size = sum(x.size for x in jax.tree.leaves(params))
    assert size == tiny.ARCHITECTURE.num_adapter_params(LORA)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    check_axes(transformer.logical_axes(model), weights)


def check_axes(axes, weights):
    """One name a dimension, for every weight there is."""
    count = jax.tree.map(lambda x: tuple(x.shape), weights)
    same = jax.tree.map(
        lambda names, shape: len(names) == len(shape),
        axes,
        count,
        is_leaf=lambda x: isinstance(x, tuple),
    )
    assert all(jax.tree.leaves(same))


def test_a_fresh_adapter_changes_no_logit_and_one_of_each_projection_does():
    weights, batch = tiny.weights(), tiny.batch(rows=2)
    model = tiny.model(lora=LORA)
    fresh = transformer.init_adapter(model, jax.random.key(0))
    plain = np.asarray(tiny.logits(weights, {}, batch, tiny.model()))
    np.testing.assert_array_equal(tiny.logits(fresh, weights, batch, model), plain)
    for name in tiny.ARCHITECTURE.projections:
        adapter = {**fresh["adapter"], name: tiny.randomized(fresh["adapter"][name])}
        changed = tiny.logits({"adapter": adapter}, weights, batch, model)
        assert np.abs(changed - plain).max() > 1e-2, name


def test_a_model_is_a_static_argument():
    assert hash(tiny.model(lora=LORA)) == hash(tiny.model(lora=LoRA(4, 12)))
    assert tiny.model() != dataclasses.replace(tiny.model(), compute_dtype="bfloat16")


def test_a_frozen_base_gives_the_logits_and_gradients_of_its_weights():
    model = tiny.model(lora=LORA, compute_dtype="bfloat16")
    weights = jax.tree.map(lambda w: w.astype(jnp.bfloat16), tiny.weights())
    base = {**weights, "blocks": jax.tree.map(to_bits, weights["blocks"])}
    assert {str(w.dtype) for w in jax.tree.leaves(base["blocks"])} == {"uint16"}
    adapter = tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))
    results = [loss_and_grads(adapter, b, tiny.batch(), model) for b in (weights, base)]
    jax.tree.map(np.testing.assert_array_equal, *results)
