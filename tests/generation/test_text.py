"""Text as tokens come: whole characters, control tokens by name, and where it stops."""

import itertools

import pytest

from vcjax.data.tokenizer import encode_text
from vcjax.generation.text import Text


def grown(tokenizer, ids, stop=(), prompt=()):
    """(the text after each token, the part of it that is certain, whether it has stopped)."""
    text = Text(tokenizer, prompt, stop)
    states = []
    for id_ in ids:
        text.add(id_)
        states.append((text.value, text.certain, text.stopped))
    return states


def test_text_grows_by_tokens(smollm2):
    ids = encode_text(smollm2, "Cheddar, because it is made here.")
    texts = [text for text, _, _ in grown(smollm2, ids)]
    assert texts[-1] == "Cheddar, because it is made here."
    assert all(b.startswith(a) for a, b in itertools.pairwise(texts))


def test_a_text_goes_on_from_its_prompt(smollm2):
    prompt, ids = encode_text(smollm2, "I prefer"), encode_text(smollm2, " the cheddar")
    assert grown(smollm2, ids, prompt=prompt)[-1][0] == " the cheddar"


def test_half_a_character_is_not_in_the_text(smollm2):
    ids = encode_text(smollm2, "a🧀")
    assert len(ids) > 2
    assert [text for text, _, _ in grown(smollm2, ids)][:-1] == ["a"] * (len(ids) - 1)
    assert grown(smollm2, ids)[-1][0] == "a🧀"


def test_control_tokens_have_their_names(smollm2):
    ids = [*encode_text(smollm2, "Yes"), smollm2.control["<|im_start|>"]]
    ids += encode_text(smollm2, " no")
    assert grown(smollm2, ids)[-1][0] == "Yes<|im_start|> no"


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (("\n",), "One"),
        (("ne\nTwo",), "O"),
        (("Three", "Two"), "One\n"),
        (("Four",), "One\nTwo\nThree"),
        (("One",), ""),
    ],
)
def test_a_text_stops_before_the_first_stop_string(smollm2, stop, expected):
    states = grown(smollm2, encode_text(smollm2, "One\nTwo\nThree"), stop)
    assert states[-1] == (expected, expected, stop != ("Four",))
    assert states[-1][0].startswith(states[0][1])


def test_what_may_become_a_stop_string_is_not_certain(smollm2):
    ids = encode_text(smollm2, "I stop here, stop")
    certain = [certain for _, certain, _ in grown(smollm2, ids, stop=(" stop now",))]
    assert certain[-1] == "I stop here,"
    assert "I stop here," in certain


def test_after_the_stop_nothing_is_added(smollm2):
    ids = encode_text(smollm2, "a b c d e b")
    assert grown(smollm2, ids, stop=(" c",))[-1] == ("a b", "a b", True)
