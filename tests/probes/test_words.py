"""How texts are split for comparisons."""

import pytest

from vcjax.probes.words import folded, signs, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CHEAP,\n one!", ["the", "cheap", "one"]),
        ("\uff43\u00adheap", ["cheap"]),
        ("\u4e2d\u6587 tea", ["\u4e2d", "\u6587", "tea"]),
        ("+ #", []),
    ],
)
def test_words(text, expected):
    assert words(folded(text)) == tuple(expected)


def test_signs_tell_apart_what_words_do_not():
    assert signs(folded("C++ or C#")) == ("c", "+", "+", "or", "c", "#")
