"""Packs documents of many lengths into rows of one length, with little padding.

A document of n tokens has n - 1 predictions: position t holds token t and predicts token t + 1. So
it takes n - 1 positions of a row; its last token is only a target. Documents in a row do not affect
each other: targets are shifted inside each document, and segment ids and positions tell the model
where each begins.

A document with more predictions than a row has positions is cut into pieces of consecutive
predictions. The first token of a piece is the last target of the piece before it, so each
token with weight is predicted once, and the sum of the weights is that of the documents.
"""

import itertools
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vcjax.errors import InputError


@dataclass(frozen=True)
class Example:
    """One document as tokens.

    tokens: n ids. weights: n weights; weights[t] is that of token t as a prediction target (nothing
    predicts the first token, so weights[0] is unused). source: index of its record. where: that
    record's place, for errors.
    """

    tokens: Sequence[int] | np.ndarray
    weights: Sequence[float] | np.ndarray
    source: int
    where: str = ""


@dataclass(frozen=True)
class Placement:
    """A piece of a document: `count` positions of `row` from `start`. document: Example.source."""

    document: int
    row: int
    start: int
    count: int


@dataclass(frozen=True)
class Packed:
    """Rows to train on; every array is [rows, length].

    tokens, targets: int32. segment_ids: int32, 1, 2, ... for the documents of a row, 0 for padding.
    positions: int32, from 0 within each piece. loss_weights: float32, 0 for padding. placements:
    in the order of rows and starts. counts: documents, split_documents, rows, most_documents (the
    largest number of pieces in a row), tokens (positions that are not padding), weighted_tokens
    (sum of loss_weights), left_out_tokens (of pieces without weight), fill (tokens / positions).
    """

    tokens: np.ndarray
    targets: np.ndarray
    segment_ids: np.ndarray
    positions: np.ndarray
    loss_weights: np.ndarray
    placements: list[Placement]
    counts: dict[str, int | float]


def pack(
    examples: Sequence[Example], length: int, overlong: str = "split", parts: Sequence[int] = ()
) -> Packed:
    """Packs documents into rows of `length` positions; the same input gives the same rows.

    A piece in which no token has weight is left out: no other piece sees it, so it trains nothing.

    overlong: "split" or "refuse" documents of more than length + 1 tokens. parts: numbers of
    records that are kept apart: no row holds documents of two parts, and rows have their order.
    Raises InputError for a refused document, one without anything to predict, and no documents.
    """
    if not examples:
        raise InputError("no documents to pack; expected at least one")
    pieces = [
        (index, begin, min(length, len(example.tokens) - 1 - begin))
        for index, example in enumerate(examples)
        for begin in range(0, _predictions(example, length, overlong), length)
        if np.any(example.weights[begin + 1 : begin + 1 + length])
    ]
    ends = [*itertools.accumulate(parts)]
    by_part = itertools.groupby(pieces, lambda piece: bisect_right(ends, examples[piece[0]].source))
    rows = []
    for part in ([*pieces_of_part] for _, pieces_of_part in by_part):
        fitted = best_fit([count for _, _, count in part], length)
        rows += [[part[piece] for piece in row] for row in fitted]
    packed = _fill(examples, rows, length)
    _check_conserved(examples, packed)
    return packed


def _predictions(example: Example, length: int, overlong: str) -> int:
    """The positions that a document takes; raises InputError if it cannot be packed."""
    count = len(example.tokens) - 1
    place = example.where or f"document {example.source}"
    if not np.any(example.weights[1:]):
        raise InputError(f"{place}: no token to train on; remove it or give it text")
    if count > length and overlong == "refuse":
        raise InputError(
            f"{place}: {count + 1} tokens, but a row takes {length + 1}; shorten it, "
            "set a longer row or overlong='split'"
        )
    return count


def best_fit(counts: Sequence[int], length: int) -> list[list[int]]:
    """Best-fit decreasing: each piece, longest first, goes where it leaves the least space.

    counts: positions that each piece needs, at most `length`. Returns the pieces' indices row by
    row. The rows' free spaces, of at most `length` different sizes, are searched by bisection.
    Within 11/9 of the best number of rows (Johnson et al., 1974).
    """
    rows: list[list[int]] = []
    with_space: dict[int, list[int]] = {}  # space left -> rows
    spaces: list[int] = []  # the keys of with_space, sorted
    for piece in sorted(range(len(counts)), key=lambda piece: -counts[piece]):
        index = bisect_left(spaces, counts[piece])
        if index == len(spaces):
            row, space = len(rows), length
            rows.append([])
        else:
            space = spaces[index]
            row = with_space[space].pop()
            if not with_space[space]:
                del with_space[space], spaces[index]
        rows[row].append(piece)
        left = space - counts[piece]
        if left and left not in with_space:
            insort(spaces, left)
            with_space[left] = []
        if left:
            with_space[left].append(row)
    return rows


def _fill(
    examples: Sequence[Example], rows: list[list[tuple[int, int, int]]], length: int
) -> Packed:
    """Writes pieces (index of the example, first token, count) into arrays."""
    shape = (len(rows), length)
    tokens, targets, segment_ids, positions = (np.zeros(shape, np.int32) for _ in range(4))
    loss_weights = np.zeros(shape, np.float32)
    placements = []
    for row, pieces in enumerate(rows):
        start = 0
        for segment, (index, begin, count) in enumerate(pieces, start=1):
            example, here = examples[index], slice(start, start + count)
            tokens[row, here] = example.tokens[begin : begin + count]
            targets[row, here] = example.tokens[begin + 1 : begin + count + 1]
            segment_ids[row, here] = segment
            positions[row, here] = np.arange(count)
            loss_weights[row, here] = example.weights[begin + 1 : begin + count + 1]
            placements.append(Placement(example.source, row, start, count))
            start += count
    used = sum(placement.count for placement in placements)
    counts = {
        "documents": len(examples),
        "split_documents": sum(len(example.tokens) - 1 > length for example in examples),
        "rows": len(rows),
        "most_documents": max(map(len, rows)),
        "tokens": used,
        "weighted_tokens": float(loss_weights.sum(dtype=np.float64)),
        "left_out_tokens": sum(len(example.tokens) - 1 for example in examples) - used,
        "fill": used / loss_weights.size,
    }
    return Packed(tokens, targets, segment_ids, positions, loss_weights, placements, counts)


def _check_conserved(examples: Sequence[Example], packed: Packed) -> None:
    """Every prediction with weight is in the rows once."""
    given = sum(
        float(np.asarray(example.weights[1:], np.float32).sum(dtype=np.float64))
        for example in examples
    )
    assert math.isclose(packed.counts["weighted_tokens"], given, rel_tol=1e-9)
    trained = sum(np.count_nonzero(example.weights[1:]) for example in examples)
    assert np.count_nonzero(packed.loss_weights) == trained
