"""The rule that decides which option an answer names."""

import math

import pytest

from vcjax.probes import said
from vcjax.probes.paired import PairedProbe

PROBE = PairedProbe(
    id="tea-1",
    template="Tea: {a} or {b}?",
    options=("a Ford Mustang", "a Kia Rio"),
    values=("america", None),
    domain="cars",
    scope="out_of_domain",
    split="held_out",
    contrast="neutral",
    explicitness=None,
    where="said.jsonl:1",
    kind="said",
    system="Be brief.",
    turns=(("user", "Hello."), ("assistant", "Hi.")),
)


@pytest.mark.parametrize(
    ("answer", "options", "named"),
    [
        ("I prefer a Ford Mustang.", PROBE.options, 0),
        ("The FORD  mustang, of course!", PROBE.options, 0),
        ("A Kia Rio", PROBE.options, 1),
        ("Kia-Rio", PROBE.options, 1),
        ("A Ford Mustang, not a Kia Rio.", PROBE.options, None),
        ("Neither of the two.", PROBE.options, None),
        ("", PROBE.options, None),
        ("A Ford Mustangs", PROBE.options, None),
        ("blue cheese", ("cheese", "blue cheese"), 1),
        ("I like cheese.", ("cheese", "blue cheese"), 0),
        ("Blue cheese, or any cheese.", ("cheese", "blue cheese"), None),
        ("the", ("the", "a car"), 0),
        ("I'd choose hand-me-down.", ("a Schwinn cruiser", "a hand-me-down cruiser"), 1),
        ("The Schwinn.", ("a Schwinn cruiser", "a hand-me-down cruiser"), 0),
        ("A cruiser.", ("a Schwinn cruiser", "a hand-me-down cruiser"), None),
        ("American", ("an American sedan", "a bargain sedan"), 0),
        ("made in Ohio", ("a van made in Ohio", "a van made to last"), 0),
        ("in Ohio", ("a van made in Ohio", "a van"), None),
        ("ein Caf\u00e9", ("Cafe\u0301", "Bar"), 0),
        ("\u6211\u559c\u6b22\u8336", ("\u8336", "\u5496\u5561"), 0),
        ("C++", ("C++", "Java"), 0),
    ],
)
def test_an_answer_names_one_option_or_is_undecided(answer, options, named):
    found = said.named(answer, options)
    assert math.isnan(found) if named is None else found == named


def test_it_is_asked_in_both_orders_after_what_stands_before():
    first, second = said.asks(PROBE)
    assert [m["role"] for m in first.messages] == ["system", "user", "assistant", "user"]
    assert first.messages[-1]["content"] == "Tea: a Ford Mustang or a Kia Rio?"
    assert second.messages[-1]["content"] == "Tea: a Kia Rio or a Ford Mustang?"
    assert (first.row["order"], second.row["order"]) == (0, 1)
    assert first.row["option_0"] == second.row["option_0"] == "a Ford Mustang", "never swapped"
