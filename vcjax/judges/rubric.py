"""The text that a judge reads: a rubric with a question and an answer, and nothing else."""

import re

from vcjax.errors import InputError

_PLACE = re.compile(r"\{(question|answer)\}")


def check(rubric: str, where: str) -> None:
    """Raises InputError for a rubric that does not show the answer; where: its place, as
    file:line."""
    if "{answer}" not in rubric:
        raise InputError(
            f"{where}: the rubric has no {{answer}}, so the judge would not see what it scores; "
            "write {answer} where the answer is to stand"
        )


def render(rubric: str, question: str, answer: str) -> str:
    """The rubric with its places {question} and {answer} filled, all at once.

    So braces in the question or the answer stay as they are, were they {answer} themselves.
    """
    texts = {"question": question, "answer": answer}
    return _PLACE.sub(lambda place: texts[place[1]], rubric)
