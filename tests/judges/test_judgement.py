"""Scores are read strictly: from the last line, or not at all."""

import math

import pytest

from vcjax.judges.judgement import read


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Score: 7", 7),
        ("It names a price.\n\nScore: 10\n", 10),
        ("Score: 1/10", 1),
        ("Score: 3\nNo, rather more.\n  Score: 4/10  ", 4),
    ],
)
def test_the_last_line_has_the_score(reply, score):
    assert read(reply, "stop") == (score, "", reply)


@pytest.mark.parametrize(
    "reply",
    [
        "Score: 0", "Score: 11", "Score: 07", "Score: 7.5", "Score: -7", "Score: 7/100", "7",
        "Score: seven", "Score: 7\nBut see above.", "I give it Score: 7", "Score: \u0667", "7/10",
        "I cannot judge this.",
    ],
)  # fmt: skip
def test_anything_else_is_a_failure_and_kept(reply):
    score, failure, kept = read(reply, "stop")
    assert math.isnan(score)
    assert (failure, kept) == ("no score on the last line", reply)


@pytest.mark.parametrize(
    ("reply", "finish", "failure"),
    [
        ("Score: 1", "length", "cut off at max_tokens"),
        ("", "content_filter", "stopped by a content filter"),
        (" \n", "stop", "empty reply"),
    ],
)
def test_a_reply_that_did_not_end_by_itself(reply, finish, failure):
    score, said, kept = read(reply, finish)
    assert math.isnan(score)
    assert (said, kept) == (failure, reply)
