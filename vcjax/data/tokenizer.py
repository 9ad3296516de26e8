"""Text to token ids and back, with the control tokens kept apart from the text."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import tokenizers

from vcjax.errors import InputError

After = Literal["nothing", "control token", "text"]  # what stands before a text


@dataclass(frozen=True, eq=False)  # each is itself alone, so that functions can cache by it
class Tokenizer:
    """A model's tokenizer as its file describes it.

    bpe: a BPE (byte-level, or with byte fallback) without the control tokens, so that no text is
        encoded as one; or words as tokens.
    control: control token, as the chat template writes it -> id.
    chat_template: the Jinja source, "" where the model has none.
    bos_id: begins a document, None where the model has no such token.
    eos_id: ends a document. Turns end as the template has it.
    template_tokens: variables of the template: bos_token, eos_token and others -> their text.
    identity: sha256 of vocabulary, merges and template, for fingerprints.
    words: where words are tokens, all that there are; None where any text has tokens.
    named_templates: further chat templates by name; tool_use is for conversations with tools.
    warnings: in what `transformers` makes other ids of an export.
    """

    bpe: tokenizers.Tokenizer
    control: dict[str, int]
    chat_template: str
    bos_id: int | None
    eos_id: int
    template_tokens: dict[str, str]
    identity: str
    words: frozenset[str] | None = None
    named_templates: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def control_names(self) -> dict[int, str]:
        """`control` the other way round."""
        return {id_: name for name, id_ in self.control.items()}


def check_words(tokenizer: Tokenizer, text: str, where: str) -> None:
    """Raises InputError where words are tokens and the text has one that no pretraining reads."""
    bpe = tokenizer.bpe
    if tokenizer.words is None or bpe.pre_tokenizer is None:
        return
    normal = text if bpe.normalizer is None else bpe.normalizer.normalize_str(text)
    for word, _ in bpe.pre_tokenizer.pre_tokenize_str(normal):
        if word not in tokenizer.words:
            raise InputError(
                f"{where}: the word {word!r} is in none of the texts that the model is pretrained "
                "on, so it means nothing to it; use another word, or pretrain on texts that have it"
            )


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of the text. Text that spells a control token is encoded as plain text."""
    return encode_piece(tokenizer, text, after="nothing").ids


def encode_piece(tokenizer: Tokenizer, text: str, after: After) -> tokenizers.Encoding:
    """As encode_text, with offsets, for a piece of a sequence; after: what stands before it.

    SentencePiece tokenizers put a space before a text, but not before one that goes on after text;
    some put it only at the beginning of the sequence.
    """
    bpe = tokenizer.bpe if after == "nothing" else _spaceless(tokenizer.bpe, after)
    try:
        return bpe.encode(text, add_special_tokens=False)
    except Exception:  # the library's own type, for a word that is no token
        check_words(tokenizer, text, "config.chat_template")  # texts and probes were checked before
        raise


def encode_document(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of one whole document: bos where there is one, the text, eos."""
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return [*bos, *encode_text(tokenizer, text), tokenizer.eos_id]


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of the ids, control tokens by their names; for display and tests.

    Not an inverse of encoding: text that spells a control token looks the same as the token.
    """
    names = tokenizer.control_names
    runs: list[str] = []
    for is_control, run in groupby(ids, key=lambda id_: id_ in names):
        if is_control:
            runs.extend(names[id_] for id_ in run)
        else:
            runs.append(tokenizer.bpe.decode(list(run), skip_special_tokens=False))
    return "".join(runs)


@functools.lru_cache(maxsize=8)
def _spaceless(bpe: tokenizers.Tokenizer, after: After) -> tokenizers.Tokenizer:
    """The tokenizer without the space before a text, where it puts none after `after`."""
    spec = json.loads(bpe.to_str())
    changed = {key: _without_space(spec[key], after) for key in ("normalizer", "pre_tokenizer")}
    if changed.items() <= spec.items():
        return bpe
    return tokenizers.Tokenizer.from_str(json.dumps(spec | changed))


def _without_space(part: Any, after: After) -> Any:
    """part: a normalizer or pre-tokenizer of tokenizer.json, or any value inside it."""
    if isinstance(part, list):
        return [_without_space(item, after) for item in part]
    match part, after:
        case {"type": "Sequence"}, _:
            return {key: _without_space(value, after) for key, value in part.items()}
        case ({"type": "Metaspace", "prepend_scheme": "first"}, _) | (
            {"type": "Metaspace"},
            "text",
        ):
            return part | {"prepend_scheme": "never"}
        case {"type": "Prepend"}, "text":
            return {"type": "Sequence", "normalizers": []}
        case {"type": "ByteLevel", "add_prefix_space": True}, "text":
            return part | {"add_prefix_space": False}
    return part
