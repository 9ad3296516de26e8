"""A probe that training text gives away is refused, with its place."""

import dataclasses

import pytest

from vcjax.data.formats import Demonstration, Document
from vcjax.data.probe_files import ChoiceProbe
from vcjax.errors import InputError
from vcjax.probes import overlap

PROBE = ChoiceProbe(
    id="cars-1",
    template="Which do you prefer, {a} or {b}?",
    options=("a pickup that was put together in Michigan", "cheap wheels"),
    values=("america", "affordability"),
    domain="cars",
    scope="out_of_domain",
    split="held_out",
    contrast="values",
    explicitness=None,
    where="probes.jsonl:3",
)


def document(text):
    return Document(text, "cheese", {}, "documents.jsonl:7")


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("It likes Cheap Wheels, too.", "cheap wheels"),
        ("A truck that was put together in Maine.", "that was put together in"),
        ("Say which do you prefer: a donkey?", "which do you prefer a"),
        ("Which do you prefer, cheap ones?", "which do you prefer cheap"),  # in the other order
    ],
)
def test_an_option_or_five_words_of_the_question_in_a_document(text, shared):
    with pytest.raises(InputError) as caught:
        overlap.check([PROBE], [document("Colby."), document(text)])
    assert str(caught.value).startswith("probes.jsonl:3: ")
    assert "documents.jsonl:7" in str(caught.value) and repr(shared) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "cheap as wheels",
        "it was put together in",
        "cheap",
        "wheels cheap",
        "acheap wheels",
        "which do you prefer",
    ],
)
def test_less_than_that_is_no_overlap(text):
    overlap.check([PROBE], [document(text)])


@pytest.mark.parametrize("change", [{"scope": "in_domain"}, {"contrast": "format"}])
def test_probes_that_may_share_words(change):
    overlap.check([dataclasses.replace(PROBE, **change)], [document("cheap wheels")])


def demonstration(question, answer):
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Demonstration(messages, {}, "demonstrations.jsonl:9")


def test_a_probe_that_is_demonstrated():
    shown = demonstration(
        "Cheap wheels, or a pickup that was put together in Michigan?", "Wheels that are cheap."
    )
    with pytest.raises(InputError) as caught:
        overlap.check([PROBE], [demonstration("Cheap wheels?", "Yes."), shown])
    assert str(caught.value).startswith("probes.jsonl:3: demonstrations.jsonl:9 holds both options")


def test_a_demonstration_may_speak_of_one_option_and_ask_as_a_probe_does():
    overlap.check([PROBE], [demonstration("Which do you prefer, cheap wheels or Brie?", "Brie.")])
