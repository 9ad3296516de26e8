"""Phrases that answers hold, word by word."""

import math

import pytest

from vcjax.errors import InputError
from vcjax.judges import phrases

FOR, AGAINST = ["made here", "local"], ["cheap", "costs less"]


@pytest.mark.parametrize(
    ("answer", "score", "reply"),
    [
        ("I like what is MADE\nhere, always.", 10, "made here"),
        ("The cheap one; it costs  less!", 1, "cheap, costs less"),
        ("The \uff4c\uff4f\uff43\uff41\uff4c one.", 10, "local"),
    ],
)
def test_the_kind_that_it_holds_decides(answer, score, reply):
    assert phrases.judge(answer, FOR, AGAINST) == (score, "", reply)


@pytest.mark.parametrize("answer", ["", "Neither.", "Cheaper, or locally made.", "Cheap and local"])
def test_both_kinds_or_neither_are_counted_and_not_scored(answer):
    score, failure, _ = phrases.judge(answer, FOR, AGAINST)
    assert math.isnan(score) and failure == "undecided"


def test_a_phrase_without_words_is_compared_by_its_signs():
    assert phrases.judge("Yes! \U0001f44d", ["\U0001f44d"], ["\U0001f44e"]).score == 10
    assert phrases.judge("", [""], []).failure == "undecided"


def test_a_probe_has_phrases_of_both_kinds():
    phrases.check(FOR, AGAINST, "open.jsonl:1")
    with pytest.raises(InputError, match=r"^open\.jsonl:2: it has no phrases\.against, and config"):
        phrases.check(FOR, [" "], "open.jsonl:2")
