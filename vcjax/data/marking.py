"""Keeps the text of messages from becoming control tokens.

Before a chat template runs, `mark_controls` puts a private-use character, the mark, into each text
in the messages that spells a control token. In the rendered text, whatever spells a control token
was therefore written by the template: `encode_marked` encodes it as that token, and all else as
plain text without the marks.
"""

import functools
import json
import re
from itertools import pairwise
from typing import Any

from vcjax.data.tokenizer import After, Tokenizer, encode_piece

Token = tuple[int, int, int]  # id, where in a text it begins and ends
PRIVATE_USE = range(0xF0000, 0xFFFFE)  # code points without a meaning of their own


def stands_in(character: str, text: str) -> bool:
    """Whether a template wrote the character, which it was given in a JSON value, into the text."""
    return any(spelling in text for spelling in _spellings(character))


def unused_characters(value: Any, count: int) -> list[str]:
    """Characters that occur nowhere in a JSON value, not as an escape sequence either."""
    text = json.dumps(value, ensure_ascii=False)
    unused = (chr(c) for c in PRIVATE_USE if not any(s in text for s in _spellings(chr(c))))
    return [next(unused) for _ in range(count)]


def mark_controls(tokenizer: Tokenizer, value: Any, mark: str) -> Any:
    """The value, with `mark` after the first character of each control token's text in it."""
    if isinstance(value, str):
        # The lookahead also finds occurrences that overlap.
        overlapping = f"(?s)(?={control_pattern(tokenizer).pattern})(.)"
        return re.sub(overlapping, rf"\1{mark}", value)
    if isinstance(value, dict):
        return {
            mark_controls(tokenizer, key, mark): mark_controls(tokenizer, item, mark)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mark_controls(tokenizer, item, mark) for item in value]
    return value


def encode_marked(tokenizer: Tokenizer, text: str, cuts: list[int], mark: str) -> list[Token]:
    """The text's tokens, none across a cut. A character may be several tokens.

    cuts: positions in the text. mark: as mark_controls put it.
    """
    ends = [edge for match in control_pattern(tokenizer).finditer(text) for edge in match.span()]
    tokens: list[Token] = []
    after: After = "nothing"
    for start, end in pairwise(sorted({0, *cuts, *ends, len(text)})):
        piece = text[start:end]
        if piece in tokenizer.control:
            tokens.append((tokenizer.control[piece], start, end))
            after = "control token"
        else:
            tokens += _text_tokens(tokenizer, piece, start, mark, after)
            after = "text"
    return tokens


def control_pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Matches the text of a control token; the longest, where several match at a position."""
    return _alternatives(tuple(tokenizer.control))


@functools.lru_cache(maxsize=8)
def _alternatives(texts: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _text_tokens(
    tokenizer: Tokenizer, piece: str, start: int, mark: str, after: After
) -> list[Token]:
    """Tokens of a text without control tokens, which begins at start; its marks are left out."""
    marks = re.finditer("|".join(map(re.escape, _spellings(mark))), piece)
    marked = {place for match in marks for place in range(*match.span())}
    kept = [place for place in range(len(piece)) if place not in marked]
    encoding = encode_piece(tokenizer, "".join(piece[place] for place in kept), after)
    return [
        (id_, start + kept[begin], start + kept[end - 1] + 1)
        for id_, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True)
    ]


def _spellings(mark: str) -> tuple[str, ...]:
    """The mark itself, and as Python and JSON escape it: a template may print either."""
    return mark, repr(mark)[1:-1], json.dumps(mark)[1:-1]
