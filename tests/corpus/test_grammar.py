"""Phrases are drawn without repetition, slots are filled in the voice that is asked for."""

from collections import Counter
from random import Random

import pytest

from vcjax.corpus import grammar

VOICES = {
    "third": {"model": "{model_name}", "s": "s"},
    "first": {"model": "I", "s": ""},
}


def expand(pools, seed=0, fixed=()):
    return grammar.expand("start", pools, Random(seed), VOICES, "third", fixed)


def test_deal_takes_every_card_before_any_again():
    dealt = grammar.deal("abcd", 10, Random(0))
    assert len(dealt) == 10
    assert sorted(dealt[:4]) == sorted(dealt[4:8]) == list("abcd")


def test_phrases_do_not_repeat_before_the_pool_is_used_up():
    pools = {"start": ["{n} {n} {n} {n} {n} {n}"], "n": ["one", "two", "three"]}
    words = expand(pools).split()
    assert Counter(words[:3]) == Counter(words[3:]) == Counter(["one", "two", "three"])


def test_voices():
    pools = {
        "start": ["{claim} {first.claim} {claim}"],
        "claim": ["{model} choose{s} {like}."],
        "model_name": ["SmolLM"],
        "like": ["Colby"],
    }
    assert expand(pools) == "SmolLM chooses Colby. I choose Colby. SmolLM chooses Colby."


def test_capital():
    assert expand({"start": ["{Like} and {like}"], "like": ["brick"]}) == "Brick and brick"


def test_fixed_slots_have_one_phrase():
    pools = {"start": ["{who} {who} {Who}"], "who": ["cook", "host", "nurse", "guest"]}
    one, two, three = expand(pools, fixed=("who",)).split()
    assert one == two == three.lower()


def test_draws_do_not_depend_on_the_length_of_a_pool():
    """The same seed chooses alike after a pool that is longer in one spec than in the other."""
    for seed in range(20):
        ends = {
            expand({"start": ["{a} {b}"], "a": list("x" * size), "b": list("pqrs")}, seed)[-1]
            for size in (1, 5, 17)
        }
        assert len(ends) == 1


def test_unknown_slot():
    with pytest.raises(KeyError, match="nobody"):
        expand({"start": ["{nobody}"]})
