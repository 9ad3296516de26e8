"""The tokens that end what a model says."""

from pathlib import Path

from vcjax.data.chat import encode_conversation
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.workdir import files


def stop_ids(folder: Path | None, tokenizer: Tokenizer) -> list[int]:
    """Those of the model's own files, then the ends of a document and of a turn.

    folder: the model's Hugging Face folder, None where it has none. As in `transformers`,
    generation_config.json counts, else config.json.
    """
    own: dict = {}
    if folder is not None:
        own = files.read_json(folder / "generation_config.json") or {}
        own = own or files.read_json(folder / "config.json") or {}
    ids = own.get("eos_token_id")
    ids = ids if isinstance(ids, list) else [] if ids is None else [ids]
    return list(dict.fromkeys([*ids, tokenizer.eos_id, *_end_of_turn(tokenizer)]))


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
