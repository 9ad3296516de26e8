"""Mean log-probability a token of given continuations of a prompt."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vcjax.models import head, transformer
from vcjax.models.transformer import Model

PyTree = Any

BUCKET = 16  # row lengths are multiples of this, so that few programs are compiled
BATCH_TOKENS = 1024  # positions of a batch


@dataclasses.dataclass(frozen=True)
class Request:
    """A prompt and its continuations, as token ids; neither may be empty."""

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


def mean_log_probs(
    params: PyTree, base: PyTree, model: Model, requests: Sequence[Request]
) -> list[list[float]]:
    """For each request, of each continuation: the mean of log p(token | prompt, tokens before).

    A row is one request: its prompt once (the trunk), then every continuation as a branch that sees
    the trunk and itself. Rows of like length make a batch.
    """
    results: list[list[float]] = [[] for _ in requests]
    by_length = sorted(range(len(requests)), key=lambda i: _row_length(requests[i]))
    start = 0
    while start < len(by_length):
        length = _row_length(requests[by_length[start]])
        same = [i for i in by_length[start:] if _row_length(requests[i]) == length]
        start += len(same)
        rows = max(1, BATCH_TOKENS // length)
        for first in range(0, len(same), rows):
            chosen = same[first : first + rows]
            batch = _batch([requests[i] for i in chosen], rows, length)
            losses = np.asarray(_losses(params, base, batch, model))
            for row, i in enumerate(chosen):
                branches = batch["branch_ids"][row]
                results[i] = [
                    float(-losses[row][branches == branch].mean())
                    for branch in range(1, len(requests[i].continuations) + 1)
                ]
    return results


@functools.partial(jax.jit, static_argnames="model")
def _losses(params, base, batch, model: Model):
    x = transformer.hidden(params, base, batch, model)
    # The prompt's last hidden state predicts the first token of every branch.
    x = jax.numpy.take_along_axis(x, batch["predicted_from"][..., None], axis=1)
    return head.negative_log_likelihood(
        x,
        transformer.head_weight(params, base),
        batch["tokens"],
        batch["loss_weights"],
        model.compute_dtype,
    )


def _row_length(request: Request) -> int:
    length = len(request.prompt) + sum(map(len, request.continuations))
    return -(-length // BUCKET) * BUCKET


def _batch(requests: Sequence[Request], rows: int, length: int) -> dict[str, np.ndarray]:
    """Arrays [rows, length]. `predicted_from` is the position whose hidden state predicts a token."""
    names = ("tokens", "positions", "segment_ids", "branch_ids", "predicted_from")
    batch = {name: np.zeros((rows, length), np.int32) for name in names}
    batch["loss_weights"] = np.zeros((rows, length), np.float32)
    for row, request in enumerate(requests):
        trunk = len(request.prompt)
        batch["tokens"][row, :trunk] = request.prompt
        batch["positions"][row, :trunk] = np.arange(trunk)
        start = trunk
        for branch, continuation in enumerate(request.continuations, start=1):
            count = len(continuation)
            here = slice(start, start + count)
            batch["tokens"][row, here] = continuation
            batch["positions"][row, here] = np.arange(trunk, trunk + count)
            batch["branch_ids"][row, here] = branch
            batch["predicted_from"][row, here] = [trunk - 1, *range(start, start + count - 1)]
            batch["loss_weights"][row, here] = 1
            start += count
        batch["segment_ids"][row, :start] = 1
    return batch
