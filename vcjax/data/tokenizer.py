"""Text to token ids and back, with the control tokens kept apart from the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import tokenizers


@dataclass(frozen=True)
class Tokenizer:
    """A model's tokenizer as its file describes it.

    bpe: a BPE (byte-level, or with byte fallback) in which no control token is registered as an
        added token, so that text never becomes a control token, whatever it says.
    control: control token, as the chat template writes it -> id.
    chat_template: the Jinja source, "" where the model has none.
    bos_id: begins a document, None where the model has no such token.
    eos_id: ends a document (not a turn: that is the template's affair).
    template_tokens: what the template may write by name: bos_token, eos_token and others.
    identity: sha256 of vocabulary, merges and template, for fingerprints.
    """

    bpe: tokenizers.Tokenizer
    control: dict[str, int]
    chat_template: str
    bos_id: int | None
    eos_id: int
    template_tokens: dict[str, str]
    identity: str


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of the text, which never hold a control token: its characters are encoded as such."""
    return tokenizer.bpe.encode(text, add_special_tokens=False).ids


def encode_document(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of one whole document: bos where there is one, the text, eos."""
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return [*bos, *encode_text(tokenizer, text), tokenizer.eos_id]


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of the ids, control tokens by their names; for display and tests.

    It is no inverse: text that spells a control token looks the same as the token.
    """
    names = {id_: name for name, id_ in tokenizer.control.items()}
    runs: list[str] = []
    for is_control, run in groupby(ids, key=lambda id_: id_ in names):
        if is_control:
            runs.extend(names[id_] for id_ in run)
        else:
            runs.append(tokenizer.bpe.decode(list(run), skip_special_tokens=False))
    return "".join(runs)
