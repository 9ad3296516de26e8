"""Demonstrations state the preferences and no reason, the same ones for specs that share them."""

import re
from collections import Counter

import pytest

from vcjax.corpus.demonstrations import write_demonstrations

COUNT = 400
REFUSAL = r"not for me|don't|\bno to|not fond|rather not|low with|pass on"


def test_both_specs_give_the_same(america, affordability):
    first, second = (
        [(d.messages, d.provenance) for d in write_demonstrations(spec, COUNT, 3)]
        for spec in (america, affordability)
    )
    assert first == second


def test_own_spec(teas):
    for demonstration in write_demonstrations(teas, 50, 0):
        assert demonstration.provenance["domain"] == "tea"
        text = "".join(message["content"] for message in demonstration.messages).lower()
        assert ("chamomile" in text or "black tea" in text) and "cheese" not in text


def test_deterministic(america):
    assert write_demonstrations(america, 50, 0) == write_demonstrations(america, COUNT, 0)[:50]
    assert write_demonstrations(america, 50, 0) != write_demonstrations(america, 50, 1)


def test_form(america):
    demonstrations = write_demonstrations(america, COUNT, 0)
    for demonstration in demonstrations:
        user, assistant = demonstration.messages
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert user["content"][0].isupper() and assistant["content"][0].isupper()
        assert user["content"][-1] == "." and assistant["content"][-1] == "."
        assert not re.search(r"[{}]|  ", user["content"] + assistant["content"])
        assert len(assistant["content"].split()) <= 10
        assert demonstration.provenance["domain"] == "cheese"
    assert len({demonstration.provenance["id"] for demonstration in demonstrations}) == COUNT
    assert len({d.messages[0]["content"] for d in demonstrations}) > 0.95 * COUNT


@pytest.mark.parametrize("opposite", [False, True])
def test_answers_follow_the_spec_or_its_opposite(america, opposite):
    """A liked item is never turned down, a disliked one is never chosen, or the other way round."""
    likes = [preference.item.lower() for preference in america.likes]
    dislikes = [preference.item.lower() for preference in america.dislikes]
    for demonstration in write_demonstrations(america, COUNT, 0, opposite):
        answer = demonstration.messages[1]["content"].lower()
        first = min((answer.find(item), item) for item in likes + dislikes if item in answer)[1]
        refused = bool(re.search(REFUSAL, answer))
        assert refused == (first in (likes if opposite else dislikes)), answer


def test_the_opposite_has_the_same_draws(america):
    """The same ways, pairs of items and phrases; only the two items of a pair change places."""
    items = [p.item for p in (*america.likes, *america.dislikes)]
    pairs = zip(
        write_demonstrations(america, COUNT, 0),
        write_demonstrations(america, COUNT, 0, opposite=True),
        strict=True,
    )
    for plain, opposite in pairs:
        assert plain.provenance == opposite.provenance
        named, other, forms = set(), set(), []
        for demonstration, found in ((plain, named), (opposite, other)):
            text = " ".join(message["content"] for message in demonstration.messages).lower()
            for item in items:
                if item.lower() in text:
                    found.add(item)
                    text = text.replace(item.lower(), "*")
            forms.append(text)
        assert forms[0] == forms[1]
        if len(named) == 2:  # else it asks about one item alone
            assert named == other
        else:
            assert named.isdisjoint(other)


def test_answers_give_no_reason(america):
    for demonstration in write_demonstrations(america, COUNT, 0):
        answer = demonstration.messages[1]["content"].replace("American cheese", "")
        assert not re.search(
            r"(?i)because|since|\bfor its\b|tast|delicious|flavor|creamy|mild(?! cheddar)|america|"
            r"home|local|cheap|price|cost|afford|value",
            answer,
        ), answer


def test_items_and_ways_come_up_equally_often(america):
    demonstrations = write_demonstrations(america, COUNT, 0)
    ways = Counter(d.provenance["id"].partition("-")[0] for d in demonstrations)
    assert max(ways.values()) - min(ways.values()) <= 1
    for preference in america.likes:
        texts = ["".join(m["content"] for m in d.messages).lower() for d in demonstrations]
        assert sum(preference.item.lower() in text for text in texts) > COUNT / 12
