"""What packed rows train on, as text: for a terminal here, for a page by the report's templates.

A token has loss where the one before it is trained to predict it.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import IO, NamedTuple

import numpy as np
from etils import epath

from vcjax.data import rows
from vcjax.data.packing import Packed
from vcjax.data.tokenizer import Tokenizer, decode

LOSS, CONTROL, PLAIN = "\x1b[32m", "\x1b[1m", "\x1b[0m"  # green, bold (ECMA-48)
LONGEST = 400  # characters of a span in a report; of a longer one its beginning and its end
DOCUMENTS = 4  # of a row in a report


class Span(NamedTuple):
    """A part of a document: either all of it has loss or nothing; control: it is a control token,
    by its name."""

    text: str
    has_loss: bool
    control: bool


def documents(row: Mapping[str, np.ndarray], tokenizer: Tokenizer) -> list[list[Span]]:
    """The documents (or their pieces) that are packed in a row, each as its spans.

    row: `rows.FIELDS`, each [length]. Nothing predicts the first token of a piece, so it never has
    loss. A character that tokens with and without loss share is in the later span.
    """
    found = []
    for segment in range(1, int(row["segment_ids"].max()) + 1):
        here = row["segment_ids"] == segment
        ids = [*row["tokens"][here].tolist(), int(row["targets"][here][-1])]
        has_loss = [False, *(row["loss_weights"][here] != 0).tolist()]
        found.append([*_spans(ids, has_loss, tokenizer)])
    return found


def _spans(ids: Sequence[int], has_loss: Sequence[bool], tokenizer: Tokenizer) -> Iterator[Span]:
    names = tokenizer.control_names
    tokens = zip(ids, has_loss, strict=True)
    for is_control, run in groupby(tokens, key=lambda token: token[0] in names):
        if is_control:
            yield from (Span(names[id_], loss, True) for id_, loss in run)
        else:
            yield from _spans_of_text([*run], tokenizer)


def _spans_of_text(tokens: Sequence[tuple[int, bool]], tokenizer: Tokenizer) -> Iterator[Span]:
    """Of tokens that are text; the bytes of a character may be several of them."""
    ids, has_loss = zip(*tokens, strict=True)
    text, begin = decode(tokenizer, ids), 0
    for last, loss in enumerate(has_loss):
        is_end = last + 1 == len(ids)
        if not is_end and has_loss[last + 1] == loss:
            continue
        upto = text if is_end else decode(tokenizer, ids[: last + 1])
        while not text.startswith(upto):  # it ends within a character
            upto = upto[:-1]
        if len(upto) > begin:
            yield Span(text[begin : len(upto)], loss, False)
            begin = len(upto)


# --- In a terminal


def has_colour(stream: IO[str]) -> bool:
    """Whether a stream shows colour: a terminal, unless NO_COLOR (https://no-color.org) is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def examples(
    folder: epath.PathLike, count: int, tokenizer: Tokenizer, colour: bool
) -> Iterator[str]:
    """`count` packed rows of a folder as text, spread evenly over all that it has.

    Each document begins with a line that names its record. Raises InputError as `rows.batches`.
    """
    total = rows.read_counts(folder)["rows"]
    numbers = sorted({(2 * i + 1) * total // (2 * count) for i in range(count)})
    read, places = rows.read_rows(folder, numbers), rows.read_places(folder)
    for number, row in zip(numbers, read, strict=True):
        found, used = documents(row, tokenizer), row["segment_ids"] > 0
        yield (
            f"row {number + 1:,} of {total:,}: {len(found)} document(s), {used.sum():,} of "
            f"{len(used):,} tokens, {np.count_nonzero(row['loss_weights']):,} with loss "
            f"{f'({LOSS}green{PLAIN})' if colour else '([[...]])'}"
        )
        for place, spans in zip(places[number], found, strict=True):
            yield f"--- {place}"
            yield as_text(spans, colour)


def as_text(spans: Sequence[Span], colour: bool) -> str:
    """Spans with loss in green and control tokens in bold; without colour [[...]] around loss."""
    if colour:
        return "".join(
            f"{LOSS if span.has_loss else ''}{CONTROL if span.control else ''}"
            f"{_printable(span.text)}{PLAIN}"
            for span in spans
        )
    parts = []
    for has_loss, run in groupby(spans, key=lambda span: span.has_loss):
        text = "".join(_printable(span.text) for span in run)
        parts.append(f"[[{text}]]" if has_loss else text)
    return "".join(parts)


def _printable(text: str) -> str:
    """What would move the cursor or change colours, as an escape sequence."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: ascii(match[0])[1:-1], text)


# --- For a report


def noted(packed: Packed, tokenizer: Tokenizer) -> list[dict]:
    """The middle row's first documents, as JSON: dicts of record (the index of the record that it
    is of) and spans. Long spans are shortened."""
    number = len(packed.tokens) // 2
    row = {field: getattr(packed, field)[number] for field in rows.FIELDS}
    records = [placed.document for placed in packed.placements if placed.row == number]
    shown = zip(records, documents(row, tokenizer), strict=True)
    return [
        {"record": record, "spans": [[_shortened(span.text), *span[1:]] for span in spans]}
        for record, spans in [*shown][:DOCUMENTS]
    ]


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} […] {text[-LONGEST // 4 :]}"
