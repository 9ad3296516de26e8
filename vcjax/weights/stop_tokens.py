"""The tokens that end what a model says."""

import json
from pathlib import Path
from typing import Any

from vcjax.data.chat import encode_conversation
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.workdir import files


def stop_ids(folder: Path | None, tokenizer: Tokenizer) -> list[int]:
    """Those of the model's own files, then the ends of a document and of a turn.

    folder: the model's Hugging Face folder, None where it has none. As in `transformers`,
    generation_config.json counts, else config.json.
    """
    ids: list[int] = []
    if folder is not None:
        for path in (folder / "generation_config.json", folder / "config.json"):
            if own := files.read_json(path):
                ids = _eos_ids(path, own)
                break
    return list(dict.fromkeys([*ids, tokenizer.eos_id, *_end_of_turn(tokenizer)]))


def _eos_ids(path: Path, own: Any) -> list[int]:
    given = own.get("eos_token_id") if isinstance(own, dict) else None
    ids = given if isinstance(given, list) else [] if given is None else [given]
    if not all(type(id_) is int for id_ in ids):
        raise InputError(
            f"{path}: eos_token_id is {json.dumps(given)}, expected a token's id or a list of them"
        )
    return ids


def _end_of_turn(tokenizer: Tokenizer) -> list[int]:
    """The token that ends an assistant's turn; [] without a template for plain conversations."""
    word = min(tokenizer.words or {"a"})
    messages = [{"role": role, "content": word} for role in ("user", "assistant")]
    try:
        ids, weights = encode_conversation(tokenizer, messages, "the chat template")[0]
    except InputError:
        return []
    trained = [id_ for id_, weight in zip(ids, weights, strict=True) if weight]
    return [id_ for id_ in trained if id_ in tokenizer.control.values()][-1:]
