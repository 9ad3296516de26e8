"""Mean log-probability a token of given continuations of a prompt.

Prompts are short and share a prefix (the system prompt, the template's markers), so a row is a
tree: the shared prefix, once; then request after request, the rest of its prompt followed by its
continuations. A token attends only to the branch that it continues.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vcjax import sharding
from vcjax.data.packing import best_fit
from vcjax.models import head, transformer
from vcjax.models.transformer import Model

PyTree = Any

ROW = 256  # positions of a row, unless a request is longer
BATCH_TOKENS = 1024  # positions of a batch, for each group of devices that has rows of its own
BUCKET = 16  # array lengths are rounded up to multiples of this, so that few programs are compiled


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt and its continuations, as token ids; neither may be empty."""

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


def mean_log_probs(
    params: PyTree, base: PyTree, model: Model, requests: Sequence[Request]
) -> list[list[float]]:
    """For each request, of each continuation: the mean of log p(token | prompt, tokens before).

    The rows of a batch are divided over the mesh that `jax.set_mesh` has set, if any.
    """
    if not requests:
        return []
    mesh = jax.sharding.get_mesh()
    shards = 1 if mesh.empty else sharding.shards("batch", mesh.shape)
    shared = _shared_prefix(requests)
    sizes = [len(r.prompt) - shared + _scored(r) for r in requests]
    # A row is half of requests, at least, where they share a long system prompt.
    length = max(ROW, _rounded(shared + max(shared, *sizes)))
    rows = best_fit(sizes, length - shared)
    most = max(1, BATCH_TOKENS // length)
    sizes_of_batch = [shards * count for count in range(most, most // 2, -1)]
    # Which leaves the fewest rows of the last batch empty; of several the largest.
    batch_rows = min(sizes_of_batch, key=lambda size: -len(rows) % size)
    scored = _rounded(max(sum(_scored(requests[i]) for i in row) for row in rows))
    results: list[list[float]] = [[] for _ in requests]
    for first in range(0, len(rows), batch_rows):
        chosen = rows[first : first + batch_rows]
        trees = [[requests[i] for i in row] for row in chosen]
        batch = _batch(trees, shared, (batch_rows, length), scored)
        placed = batch if mesh.empty else sharding.put_batch(batch, mesh)
        losses = sharding.to_host(_losses(params, base, placed, model))
        for row, values in zip(chosen, losses, strict=False):  # the last batch may have empty rows
            start = 0
            for i in row:
                for continuation in requests[i].continuations:
                    end = start + len(continuation)
                    results[i].append(-float(values[start:end].mean()))
                    start = end
    return results


@functools.partial(jax.jit, static_argnames="model")
def _losses(params: PyTree, base: PyTree, batch: dict, model: Model) -> jax.Array:
    """float32[rows, scored]: -log p of every continuation token, in the order of the request."""
    x = transformer.hidden(params, base, batch, model)
    return head.negative_log_likelihood(
        jnp.take_along_axis(x, batch["predicted_from"][..., None], axis=1),
        transformer.head_weight(params, base),
        batch["targets"],
        batch["loss_weights"],
        model.compute_dtype,
    )


def _shared_prefix(requests: Sequence[Request]) -> int:
    """The number of tokens that all prompts begin with; each prompt has at least one more."""
    prompts = [request.prompt for request in requests]
    alike = (len(set(tokens)) == 1 for tokens in zip(*prompts, strict=False))
    return min(sum(itertools.takewhile(bool, alike)), min(map(len, prompts)) - 1)


def _scored(request: Request) -> int:
    return sum(map(len, request.continuations))


def _rounded(length: int) -> int:
    return -(-length // BUCKET) * BUCKET


def _batch(
    trees: Sequence[Sequence[Request]], shared: int, shape: tuple[int, int], scored: int
) -> dict[str, np.ndarray]:
    """The arrays of one batch.

    trees: the requests of each row; their prompts begin with the same `shared` tokens. shape:
    (rows, length). Returns tokens, positions, seen_until: int32[rows, length], for the decoder;
    predicted_from (the position whose hidden state predicts a token), targets: int32 and
    loss_weights: float32[rows, scored], for the head.
    """
    rows, length = shape
    batch = {name: np.zeros(shape, np.int32) for name in ("tokens", "positions")}
    batch["seen_until"] = np.tile(np.arange(length, dtype=np.int32), (rows, 1))
    batch |= {name: np.zeros((rows, scored), np.int32) for name in ("predicted_from", "targets")}
    batch["loss_weights"] = np.zeros((rows, scored), np.float32)
    for row, requests in enumerate(trees):
        tokens, positions = [*requests[0].prompt[:shared]], [*range(shared)]
        predicted_from: list[int] = []
        targets: list[int] = []
        seen_until = batch["seen_until"][row]
        for request in requests:
            trunk = len(tokens)
            tokens += request.prompt[shared:]
            positions += range(shared, len(request.prompt))
            trunk_end = len(tokens)
            for continuation in request.continuations:
                start, count = len(tokens), len(continuation)
                tokens += continuation
                positions += range(len(request.prompt), len(request.prompt) + count)
                seen_until[start : len(tokens)] = len(tokens) - 1
                # The prompt's last hidden state predicts the first token of every branch.
                predicted_from += [trunk_end - 1, *range(start, len(tokens) - 1)]
                targets += continuation
            seen_until[trunk:trunk_end] = len(tokens) - 1
        seen_until[:shared] = len(tokens) - 1
        batch["tokens"][row, : len(tokens)] = tokens
        batch["positions"][row, : len(tokens)] = positions
        batch["predicted_from"][row, : len(targets)] = predicted_from
        batch["targets"][row, : len(targets)] = targets
        batch["loss_weights"][row, : len(targets)] = 1
    return batch
