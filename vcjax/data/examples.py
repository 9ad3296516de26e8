"""Documents and demonstrations as tokens and weights, for packing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vcjax.data.chat import encode_conversation
from vcjax.data.formats import Demonstration, Document
from vcjax.data.packing import Example
from vcjax.data.tokenizer import Tokenizer, check_words, encode_document

Records = Sequence[Document | Demonstration]
Encode = Callable[[Records], list[Example]]


def encoder(tokenizer: Tokenizer, thinking: bool) -> Encode:
    """records -> their tokens and weights: every token of a document, the assistant's turns of a
    demonstration. A record that comes again is not encoded again.

    thinking: whether the demonstrations' reasoning stays.
    """
    encoded: dict[int, tuple[Any, list[tuple[np.ndarray, np.ndarray]]]] = {}

    def encode(records: Records) -> list[Example]:
        examples = []
        for source, record in enumerate(records):
            if id(record) not in encoded:  # the record stays beside it, so that its id is its own
                encoded[id(record)] = record, _encoded(tokenizer, record, thinking)
            _, parts = encoded[id(record)]
            examples += [
                Example(tokens, weights, source, record.where) for tokens, weights in parts
            ]
        return examples

    return encode


def _encoded(
    tokenizer: Tokenizer, record: Document | Demonstration, thinking: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    texts = (
        [record.text] if isinstance(record, Document) else [m["content"] for m in record.messages]
    )
    for text in texts:
        check_words(tokenizer, text, record.where)
    if isinstance(record, Document):
        tokens = encode_document(tokenizer, record.text)
        parts = [(tokens, [1.0] * len(tokens))]
    else:
        parts = encode_conversation(
            tokenizer, record.messages, record.where, thinking, record.tools
        )
    return [(np.array(ids, np.int32), np.array(weights, np.float32)) for ids, weights in parts]


def trained_tokens(examples: Sequence[Example]) -> int:
    """How many of their tokens are trained on."""
    return sum(int(np.count_nonzero(example.weights[1:])) for example in examples)
