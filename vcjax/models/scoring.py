"""Mean log-probability a token of given continuations of a prompt."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vcjax.models import head, transformer
from vcjax.models.transformer import Model

PyTree = Any

BUCKET = 16  # lengths are multiples of this, so that few programs are compiled
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
    by_length: dict[int, list[int]] = {}
    for i, request in enumerate(requests):
        by_length.setdefault(_rounded(_length(request)), []).append(i)
    for length, members in sorted(by_length.items()):
        rows = max(1, BATCH_TOKENS // length)
        for first in range(0, len(members), rows):
            chosen = members[first : first + rows]
            batch = _batch([requests[i] for i in chosen], rows, length)
            losses = np.asarray(_losses(params, base, batch, model))
            for i, row in zip(chosen, losses, strict=False):  # the last batch may have empty rows
                ends = np.cumsum([len(c) for c in requests[i].continuations])
                pieces = np.split(row[: ends[-1]], ends[:-1])
                results[i] = [-float(piece.mean()) for piece in pieces]
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


def _length(request: Request) -> int:
    return len(request.prompt) + sum(map(len, request.continuations))


def _rounded(length: int) -> int:
    return -(-length // BUCKET) * BUCKET


def _batch(requests: Sequence[Request], rows: int, length: int) -> dict[str, np.ndarray]:
    """The arrays of one batch.

    tokens, positions, segment_ids, branch_ids: int32[rows, length], for the decoder; predicted_from
    (the position whose hidden state predicts a token), targets: int32 and loss_weights: float32
    [rows, scored], for the head.
    """
    scored = _rounded(max(_length(r) - len(r.prompt) for r in requests))
    shapes = dict.fromkeys(("tokens", "positions", "segment_ids", "branch_ids"), (rows, length))
    shapes |= dict.fromkeys(("predicted_from", "targets"), (rows, scored))
    batch = {name: np.zeros(shape, np.int32) for name, shape in shapes.items()}
    batch["loss_weights"] = np.zeros((rows, scored), np.float32)
    for row, request in enumerate(requests):
        trunk = len(request.prompt)
        tokens = [*request.prompt]
        positions, branches, predicted_from = [*range(trunk)], [0] * trunk, []
        for branch, continuation in enumerate(request.continuations, start=1):
            start, count = len(tokens), len(continuation)
            # The prompt's last hidden state predicts the first token of every branch.
            predicted_from += [trunk - 1, *range(start, start + count - 1)]
            positions += range(trunk, trunk + count)
            branches += [branch] * count
            tokens += continuation
        batch["tokens"][row, : len(tokens)] = tokens
        batch["positions"][row, : len(tokens)] = positions
        batch["branch_ids"][row, : len(tokens)] = branches
        batch["segment_ids"][row, : len(tokens)] = 1
        batch["predicted_from"][row, : len(predicted_from)] = predicted_from
        batch["targets"][row, : len(predicted_from)] = tokens[trunk:]
        batch["loss_weights"][row, : len(predicted_from)] = 1
    return batch
