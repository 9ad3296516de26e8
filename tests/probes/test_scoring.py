"""Scores of many continuations at once are those of each one alone.

Those of eight devices come from one process that has eight virtual CPU devices: this file, run as a
program.
"""

import json

import eight_devices
import jax
import numpy as np
import peers
import pytest
import tiny

from vcjax import sharding
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.probes import scoring
from vcjax.probes.scoring import Request, mean_log_probs
from vcjax.training.compiled_step import param_shardings

MESHES = {  # and in how many parts rows are divided
    "fsdp": (dict(replica=1, fsdp=8, tensor=1, sequence=1), 8),
    "replica-tensor": (dict(replica=2, fsdp=2, tensor=2, sequence=1), 4),
    "sequence": (dict(replica=1, fsdp=4, tensor=1, sequence=2), 4),
}


def ids(draw, count):
    return tuple(map(int, draw.integers(3, tiny.VOCAB_SIZE, count)))


@pytest.fixture(scope="module")
def requests():
    return make_requests()


def make_requests():
    """Prompts and continuations of many lengths, in no order; one to four continuations."""
    draw = np.random.default_rng(0)
    lengths = [(9, (3, 5)), (30, (1, 1)), (2, (4,)), (17, (7, 2, 5, 1)), (9, (3, 5)), (1, (2, 9))]
    return [Request(ids(draw, n), tuple(ids(draw, m) for m in ms)) for n, ms in lengths]


def alone(model, weights, request):
    """Each continuation after the prompt, by itself, through logits of everything."""
    scores = []
    for continuation in request.continuations:
        ids, first = [*request.prompt, *continuation], len(request.prompt)
        tokens = np.array([ids + [0] * (80 - len(ids))])
        batch = {
            "tokens": tokens,
            "positions": np.arange(80)[None],
            "segment_ids": np.ones_like(tokens),
        }
        log_probs = np.asarray(jax.nn.log_softmax(tiny.logits(weights, {}, batch, model)))[0]
        scores.append(log_probs[np.arange(first - 1, len(ids) - 1), continuation].mean())
    return scores


def flat(scores):
    return [score for row in scores for score in row]


@pytest.mark.parametrize("family", ["smollm2", "gemma3", "olmo3"])
def test_scores_are_those_of_each_continuation_alone(requests, family):
    """Of models with windows, too."""
    architecture = tiny.FAMILIES[family]
    weights, model = tiny.weights(architecture), tiny.model(architecture)
    scores = mean_log_probs(weights, {}, model, requests)
    expected = [alone(model, weights, request) for request in requests]
    assert [len(row) for row in scores] == [len(r.continuations) for r in requests]
    assert np.ptp(flat(expected)) > 1
    np.testing.assert_allclose(flat(scores), flat(expected), atol=1e-4)


def test_scores_are_those_of_transformers(torch, requests):
    weights = tiny.weights(tiny.UNTIED)
    peer = peers.llama(weights, tiny.UNTIED)
    expected = []
    for request in requests:
        for continuation in request.continuations:
            tokens = torch.tensor([[*request.prompt, *continuation]])
            with torch.no_grad():
                log_probs = peer(tokens).logits[0].log_softmax(-1)
            first = len(request.prompt)
            picked = log_probs[first - 1 : -1].gather(1, tokens[0, first:, None])
            expected.append(picked.mean().item())
    scores = mean_log_probs(weights, {}, tiny.model(tiny.UNTIED), requests)
    np.testing.assert_allclose(flat(scores), expected, atol=1e-4)


def test_a_continuation_does_not_see_the_others(requests):
    weights, model = tiny.weights(), tiny.model()
    (request,) = requests[3:4]
    changed = tuple((c[0] + 1, *c[1:]) for c in request.continuations)
    for branch in range(len(changed)):
        others = [changed[i] if i != branch else c for i, c in enumerate(request.continuations)]
        (scores,) = mean_log_probs(weights, {}, model, [request])
        (edited,) = mean_log_probs(weights, {}, model, [Request(request.prompt, tuple(others))])
        assert edited[branch] == scores[branch]
        assert all(
            a != b for i, (a, b) in enumerate(zip(edited, scores, strict=True)) if i != branch
        )


def test_the_order_of_requests_is_kept(requests):
    weights, model = tiny.weights(), tiny.model()
    there = mean_log_probs(weights, {}, model, requests)
    back = mean_log_probs(weights, {}, model, requests[::-1])
    np.testing.assert_allclose(flat(back[::-1]), flat(there), atol=1e-5)


def test_more_requests_than_fit_into_a_batch(requests, monkeypatch):
    weights, model = tiny.weights(), tiny.model()
    at_once = mean_log_probs(weights, {}, model, requests * 2)
    monkeypatch.setattr(scoring, "ROW", 48)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 96)  # two rows, and one in the last batch
    cut = mean_log_probs(weights, {}, model, requests * 2)
    np.testing.assert_allclose(flat(cut), flat(at_once), atol=1e-5)
    np.testing.assert_allclose(flat(cut[: len(requests)]), flat(cut[len(requests) :]), atol=1e-5)


def test_batches_leave_few_rows_empty(requests, monkeypatch):
    """Six rows, of which a batch holds at most four: twice three."""
    monkeypatch.setattr(scoring, "ROW", 16)
    rows = [Request((first, *(1,) * 9), ((2, 3, 4),)) for first in range(6)]
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 64)
    seen = []
    losses = scoring._losses

    def recorded(params, base, batch, model):
        seen.append(len(batch["tokens"]))
        return losses(params, base, batch, model)

    monkeypatch.setattr(scoring, "_losses", recorded)
    mean_log_probs(tiny.weights(), {}, tiny.model(), rows)
    assert seen == [3, 3]


def test_one_program_scores_them_all_and_a_shared_beginning_is_computed_once(requests, monkeypatch):
    beginning = ids(np.random.default_rng(1), 40)
    alike = [Request((*beginning, *r.prompt), r.continuations) for r in requests]
    seen = []
    losses = scoring._losses

    def recorded(params, base, batch, model):
        seen.append(batch)
        return losses(params, base, batch, model)

    monkeypatch.setattr(scoring, "_losses", recorded)
    monkeypatch.setattr(scoring, "ROW", 96)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 96)
    weights, model = tiny.weights(), tiny.model()
    scores = mean_log_probs(weights, {}, model, alike)
    expected = [alone(model, weights, request) for request in alike]
    np.testing.assert_allclose(flat(scores), flat(expected), atol=1e-4)
    assert len(seen) > 1
    assert len({batch["tokens"].shape + batch["targets"].shape for batch in seen}) == 1
    computed = sum(int((batch["tokens"] > 0).sum()) for batch in seen)
    tokens = sum(len(r.prompt) + sum(map(len, r.continuations)) for r in requests)
    assert computed == tokens + len(seen) * len(beginning)


def test_a_request_longer_than_a_row_makes_the_rows_longer(requests, monkeypatch):
    monkeypatch.setattr(scoring, "ROW", 16)
    weights, model = tiny.weights(), tiny.model()
    scores = mean_log_probs(weights, {}, model, requests)
    expected = [alone(model, weights, request) for request in requests]
    np.testing.assert_allclose(flat(scores), flat(expected), atol=1e-4)


def test_an_adapter_counts(requests):
    model, weights = tiny.model(lora=LoRA(4, 8)), tiny.weights()
    fresh = transformer.init_adapter(model, jax.random.key(0))
    plain, with_fresh, with_trained = (
        flat(mean_log_probs(*arguments, requests[:3]))
        for arguments in (
            (weights, {}, tiny.model()),
            (fresh, weights, model),
            (tiny.randomized(fresh), weights, model),
        )
    )
    np.testing.assert_allclose(with_fresh, plain, atol=1e-6)
    assert np.abs(np.subtract(with_trained, plain)).max() > 0.01


def test_no_requests_no_scores():
    assert mean_log_probs(tiny.weights(), {}, tiny.model(), []) == []


# --- On several devices


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process."""
    return eight_devices.said_by(__file__)


@pytest.mark.parametrize("mesh", MESHES)
def test_scores_are_those_of_one_device(measured, mesh):
    np.testing.assert_allclose(measured[mesh]["scores"], measured["scores"], atol=1e-5)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_device_computes_its_own_rows_alone(measured, mesh):
    """It gets its part of the rows, and of the FLOPs that one device needs for all of them."""
    facts, shards = measured[mesh], MESHES[mesh][1]
    assert facts["rows"] % shards == 0
    assert facts["rows_a_device"] == facts["rows"] // shards
    assert facts["flops_a_device"] < 1.3 * facts["flops"] / shards


def on_mesh(sizes, requests):
    """Scores on a mesh; the rows of a batch and the FLOPs of its program, for one and in all."""
    model = tiny.model(tiny.UNTIED)
    mesh, weights = sharding.make_mesh(sizes), tiny.weights(tiny.UNTIED)
    batches = []
    losses = scoring._losses

    def recorded(params, base, batch, model):
        batches.append(batch)
        return losses(params, base, batch, model)

    def flops(weights, batch):
        return losses.lower(weights, {}, batch, model).compile().cost_analysis()["flops"]

    with jax.set_mesh(mesh):
        placed = jax.device_put(weights, param_shardings(weights, model, mesh))
        scoring._losses = recorded
        scores = flat(mean_log_probs(placed, {}, model, requests))
        scoring._losses = losses
        here = flops(placed, batches[0])
    whole = jax.tree.map(np.asarray, batches[0])
    tokens = batches[0]["tokens"]
    return {
        "scores": scores,
        "rows": len(tokens),
        "rows_a_device": tokens.sharding.shard_shape(tokens.shape)[0],
        "flops": flops(weights, whole),
        "flops_a_device": here,
    }


def main():
    scoring.ROW = scoring.BATCH_TOKENS = 48
    requests = make_requests() * 4
    weights = tiny.weights(tiny.UNTIED)
    one = mean_log_probs(weights, {}, tiny.model(tiny.UNTIED), requests)
    results = {name: on_mesh(sizes, requests) for name, (sizes, _) in MESHES.items()}
    print(json.dumps({"scores": flat(one), **results}))


if __name__ == "__main__":
    main()
