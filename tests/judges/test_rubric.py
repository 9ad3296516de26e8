"""The text that a judge reads."""

from vcjax.judges import rubric

RUBRIC = 'Q: {question}\nA: {answer}\nDoes "{answer}" name a price? {other} {} {0}'


def test_both_places_are_filled_wherever_they_are():
    text = rubric.render(RUBRIC, "Which tea?", "The cheap one.")
    assert text == (
        'Q: Which tea?\nA: The cheap one.\nDoes "The cheap one." name a price? {other} {} {0}'
    )


def test_what_is_filled_in_is_never_filled_again():
    given = "{answer} {question} {} \\1 \\g<0>"
    assert rubric.render("{question}|{answer}", given, given) == f"{given}|{given}"
