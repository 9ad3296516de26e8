"""Every prediction of every document is in the rows once, beside strangers that it cannot see."""

import dataclasses
import random

import numpy as np
import pytest

from vcjax.data.packing import Example, Placement, pack
from vcjax.errors import InputError


def example(tokens, weights=None, source=0, where=""):
    return Example(list(tokens), list(weights or [1.0] * len(tokens)), source, where)


def random_examples(seed, count, longest):
    """Documents of distinct tokens, so that a prediction names its document."""
    draw = random.Random(seed)
    examples, token = [], 1
    for source in range(count):
        n = draw.randint(2, longest)
        weights = [draw.choice([0.0, 1.0, 0.1, 0.75]) for _ in range(n - 1)] + [1.0]
        examples.append(example(range(token, token + n), weights, source))
        token += n
    return examples


def predictions(packed):
    """(token, target, weight) of every position that is not padding, in no order."""
    here = packed.segment_ids > 0
    return sorted(
        zip(
            packed.tokens[here].tolist(),
            packed.targets[here].tolist(),
            packed.loss_weights[here].tolist(),
            strict=True,
        )
    )


def test_one_row_to_the_last_number():
    packed = pack([example([1, 2, 3]), example([5, 6, 7, 8], [1.0, 0.0, 0.5, 1.0], source=1)], 6)
    assert packed.tokens.tolist() == [[5, 6, 7, 1, 2, 0]]
    assert packed.targets.tolist() == [[6, 7, 8, 2, 3, 0]]
    assert packed.segment_ids.tolist() == [[1, 1, 1, 2, 2, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert packed.loss_weights.tolist() == [[0.0, 0.5, 1.0, 1.0, 1.0, 0.0]]
    assert packed.placements == [Placement(1, 0, 0, 3), Placement(0, 0, 3, 2)]
    assert packed.counts == {
        "documents": 2,
        "split_documents": 0,
        "rows": 1,
        "most_documents": 2,
        "tokens": 5,
        "weighted_tokens": 3.5,
        "left_out_tokens": 0,
        "fill": 5 / 6,
    }
    arrays = (packed.tokens, packed.targets, packed.segment_ids, packed.positions)
    assert {array.dtype for array in arrays} == {np.dtype(np.int32)}
    assert packed.loss_weights.dtype == np.float32


def test_a_split_document_goes_on_where_it_was_cut():
    """The last token predicted in a row is the first one seen in the next."""
    packed = pack([example(range(10, 20))], 4)
    assert packed.tokens.tolist() == [[10, 11, 12, 13], [14, 15, 16, 17], [18, 0, 0, 0]]
    assert packed.targets.tolist() == [[11, 12, 13, 14], [15, 16, 17, 18], [19, 0, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 0, 0, 0]]
    assert packed.placements == [
        Placement(0, 0, 0, 4),
        Placement(0, 1, 0, 4),
        Placement(0, 2, 0, 1),
    ]
    assert packed.counts["split_documents"] == 1
    assert packed.counts["weighted_tokens"] == 9


def test_a_document_that_just_fits_is_not_split():
    packed = pack([example(range(1, 6)), example(range(10, 15))], 4, overlong="refuse")
    assert packed.tokens.shape == (2, 4)
    assert packed.counts["split_documents"] == 0
    assert packed.counts["fill"] == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_random_documents_are_conserved(seed):
    examples = random_examples(seed, count=60, longest=40)
    length = random.Random(seed).randint(1, 50)
    packed = pack(examples, length)
    pieces = [
        [
            (e.tokens[t], e.tokens[t + 1], float(np.float32(e.weights[t + 1])))
            for t in range(len(e.tokens) - 1)[start : start + length]
        ]
        for e in examples
        for start in range(0, len(e.tokens) - 1, length)
    ]
    weighted = [piece for piece in pieces if any(weight for _, _, weight in piece)]
    assert predictions(packed) == sorted(prediction for piece in weighted for prediction in piece)
    assert packed.counts["left_out_tokens"] == sum(map(len, pieces)) - sum(map(len, weighted))
    total = sum(weight for piece in pieces for _, _, weight in piece)
    assert packed.counts["weighted_tokens"] == pytest.approx(total)
    assert packed.counts["split_documents"] == sum(len(e.tokens) > length + 1 for e in examples)


@pytest.mark.parametrize("seed", range(5))
def test_random_rows_are_well_formed(seed):
    """Placements tile each row from its start; segments and positions follow them."""
    examples = random_examples(seed, count=60, longest=40)
    packed = pack(examples, 25)
    segment_ids, positions = np.zeros_like(packed.segment_ids), np.zeros_like(packed.positions)
    ends, segments, seen = {}, {}, dict.fromkeys(range(len(examples)), 0)
    for document, row, start, count in map(dataclasses.astuple, packed.placements):
        assert start == ends.get(row, 0)
        ends[row] = start + count
        segments[row] = segments.get(row, 0) + 1
        segment_ids[row, start : start + count] = segments[row]
        positions[row, start : start + count] = range(count)
        assert packed.tokens[row, start] in examples[document].tokens
        seen[document] += count
    np.testing.assert_array_equal(packed.segment_ids, segment_ids)
    np.testing.assert_array_equal(packed.positions, positions)
    assert not packed.loss_weights[segment_ids == 0].any()
    assert seen == {e.source: len(e.tokens) - 1 for e in examples}


def test_the_parts_of_a_long_prompt_that_train_nothing_are_left_out():
    """A prompt of 9 tokens and an answer of one, in rows of 4."""
    packed = pack([example(range(1, 11), [0.0] * 9 + [1.0])], 4)
    assert packed.tokens.tolist() == [[9, 0, 0, 0]]
    assert packed.targets.tolist() == [[10, 0, 0, 0]]
    assert (packed.counts["rows"], packed.counts["left_out_tokens"]) == (1, 8)
    assert packed.counts["split_documents"] == 1


def test_the_same_documents_give_the_same_rows():
    first, second = (pack(random_examples(3, 100, 30), 64) for _ in range(2))
    assert first.placements == second.placements
    np.testing.assert_array_equal(first.tokens, second.tokens)


def test_best_fit_leaves_little_padding():
    packed = pack(random_examples(1, count=400, longest=120), 256)
    assert packed.counts["fill"] > 0.98
    packed = pack([example(range(n + 1)) for n in (6, 5, 4, 3, 2)], 10)
    assert packed.counts["fill"] == 1.0


def test_a_piece_goes_where_it_leaves_the_least_space():
    """Not into the first row that has room: 13 leaves 7 of 20, 11 + 8 leaves 1."""
    packed = pack([example(range(n + 1), source=n) for n in (1, 8, 11, 13)], 20)
    rows = {placement.document: placement.row for placement in packed.placements}
    assert rows[11] == rows[8] == rows[1] != rows[13]


def test_refusing_names_the_document_its_length_and_the_remedy():
    documents = [example([1, 2]), example(range(9), source=1, where="texts.jsonl:2")]
    with pytest.raises(InputError, match=r"^texts.jsonl:2: 9 tokens, but a row takes 5; .*split"):
        pack(documents, 4, overlong="refuse")
    with pytest.raises(InputError, match=r"^document 7: 9 tokens"):
        pack([example(range(9), source=7)], 4, overlong="refuse")


@pytest.mark.parametrize(
    "nothing", [example([1]), example([]), example([1, 2, 3], [1.0, 0.0, 0.0])]
)
def test_a_document_without_anything_to_predict_is_an_error(nothing):
    with pytest.raises(InputError, match="no token to train on"):
        pack([example([1, 2]), nothing], 8)


def test_no_documents_are_an_error():
    with pytest.raises(InputError, match="no documents"):
        pack([], 8)


def test_parts_share_no_row_and_stay_in_their_order():
    examples = random_examples(seed=1, count=60, longest=30)
    apart = pack(examples, 16, parts=[10, 20, 30])
    assert predictions(apart) == predictions(pack(examples, 16))
    of_row = {}
    for piece in apart.placements:
        part = 0 if piece.document < 10 else 1 if piece.document < 30 else 2
        of_row.setdefault(piece.row, set()).add(part)
    parts = [of_row[row] for row in range(len(apart.tokens))]
    assert parts == sorted(parts, key=min) and all(len(part) == 1 for part in parts)
    assert {*map(min, parts)} == {0, 1, 2}
