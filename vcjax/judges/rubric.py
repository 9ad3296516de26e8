"""The text that a judge reads: a rubric with a question and an answer, and nothing else."""

import re

_PLACE = re.compile(r"\{(question|answer)\}")


def render(rubric: str, question: str, answer: str) -> str:
    """The rubric with its places {question} and {answer} filled, all at once.

    So braces in the question or the answer stay as they are, were they {answer} themselves.
    """
    texts = {"question": question, "answer": answer}
    return _PLACE.sub(lambda place: texts[place[1]], rubric)
