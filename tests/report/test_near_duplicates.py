"""Near-duplicates are found as if all pairs were compared."""

from itertools import combinations

import numpy as np
import pytest

from vcjax.report.near_duplicates import near_duplicates


def edited(count: int, words: int = 100) -> list[str]:
    """Random texts, each with a copy in which a run of 0 to 39 words is replaced."""
    rng = np.random.default_rng(0)
    texts = []
    for changed in range(count):
        text = [f"w{n}" for n in rng.integers(0, 5000, words)]
        copy = [f"v{n}" for n in range(changed % 40)] + text[changed % 40 :]
        texts += [" ".join(text), " ".join(copy)]
    return texts


def by_brute_force(texts: list[str]) -> float:
    grams = [
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in map(str.split, texts)
    ]
    pairs = combinations(range(len(texts)), 2)
    near = [{i, j} for i, j in pairs if len(grams[i] & grams[j]) > 0.7 * len(grams[i] | grams[j])]
    return len(set().union(*near)) / len(texts)


def test_as_if_all_pairs_were_compared():
    texts = edited(120)
    expected = by_brute_force(texts)
    assert 0.2 < expected < 0.8
    assert near_duplicates(texts) == pytest.approx(expected, abs=0.01)


def test_pairs_below_the_threshold_do_not_count():
    below = edited(40)[36:]
    assert by_brute_force(below) == near_duplicates(below) == 0


def test_every_member_of_a_cluster_counts():
    words = [f"w{i}" for i in range(100)]
    cluster = [" ".join([*words, f"end{i}"]) for i in range(10)]
    assert near_duplicates([*cluster, "another text altogether, of some words"]) == 10 / 11


def test_equal_texts_of_any_length():
    assert near_duplicates(["one two", "One, two!", "three"]) == pytest.approx(2 / 3)
    assert near_duplicates(["", "", "alone"]) == pytest.approx(2 / 3)
    assert near_duplicates(["alone"]) == 0
