"""What a judge says of one answer, and how its score is read from a reply."""

import math
import re
from typing import NamedTuple

# What ends a reply. It is part of what is asked, so that no rubric has to explain it.
ASKED = 'End with a line "Score: N", in which N is a whole number from 1 to 10.'
_SCORE = re.compile(r"Score: ([1-9]|10)(?:/10)?")


class Judgement(NamedTuple):
    """score: 1 to 10, NaN where the judge gave none; failure: why it gave none, else "".

    reply: what the score was read from, as text.
    """

    score: float = math.nan
    failure: str = ""
    reply: str = ""


def read(reply: str, finish: str) -> Judgement:
    """The judgement in a reply to ASKED: the score of its last line, or a failure.

    finish: why the reply ended, as OpenAI's API says it. No score is guessed: a reply that was cut
    off, that refuses or that ends in prose is a failure.
    """
    if finish == "length":
        return Judgement(failure="cut off at max_tokens", reply=reply)
    if finish == "content_filter":
        return Judgement(failure="stopped by a content filter", reply=reply)
    if not reply.strip():
        return Judgement(failure="empty reply", reply=reply)
    found = _SCORE.fullmatch(reply.strip().splitlines()[-1].strip())
    if found is None:
        return Judgement(failure="no score on the last line", reply=reply)
    return Judgement(score=float(found[1]), reply=reply)
