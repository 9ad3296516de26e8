"""The space that a tokenizer puts before a text: as its files and as `transformers` have it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcjax.errors import InputError


def check(path: Path, config: dict[str, Any], spec: dict[str, Any]) -> None:
    """Raises InputError if tokenizer_config.json (path, config) says other than tokenizer.json."""
    said, scheme = config.get("add_prefix_space"), _scheme(spec)
    if isinstance(said, bool) and scheme is not None and said != (scheme != "never"):
        puts = "no space" if said else "a space"
        raise InputError(
            f"{path}: add_prefix_space is {json.dumps(said)}, but tokenizer.json puts {puts} "
            "before a text; make the two agree"
        )


def warnings(model_type: str | None, config: dict[str, Any], spec: dict[str, Any]) -> list[str]:
    """Where `transformers` 5 makes other ids than tokenizer.json says, which vcjax follows.

    Its LlamaTokenizer keeps vocabulary and merges of the file, and puts the space anew, by `legacy`
    and `add_prefix_space` (models/llama/tokenization_llama.py).
    """
    kind = str(config.get("tokenizer_class")).removesuffix("Fast")
    if (model_type, kind) != ("llama", "LlamaTokenizer") or _is_byte_level(spec):
        return []
    legacy = bool(config.get("legacy"))
    theirs = "always" if legacy else "first"
    if config.get("add_prefix_space") is False:
        theirs = "never"
    if theirs == (_scheme(spec) or "never"):
        return []
    return [
        f"tokenizer_config.json has legacy {json.dumps(legacy)} and the class LlamaTokenizer, so "
        "`transformers` 5 puts spaces before texts otherwise than tokenizer.json: it gives an "
        "export other ids, as of a text that begins with a space; load its tokenizer by "
        "PreTrainedTokenizerFast"
    ]


def _scheme(spec: dict[str, Any]) -> str | None:
    """Before what: "always", "first" (of a sequence), "never"; "prepend": also before a space.

    None: the file has no part that could put one.
    """
    for part in _parts(spec):
        match part:
            case {"type": "Prepend"}:
                return "prepend"
            case {"type": "Metaspace"}:
                return part.get("prepend_scheme", "always")
            case {"type": "ByteLevel"}:
                return "always" if part.get("add_prefix_space") else "never"
    return None


def _is_byte_level(spec: dict[str, Any]) -> bool:
    return any(part["type"] == "ByteLevel" for part in _parts(spec))


def _parts(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The normalizers and pre-tokenizers of a tokenizer.json, those in sequences one by one."""
    waiting = [spec.get("normalizer"), spec.get("pre_tokenizer")]
    while waiting:
        part = waiting.pop(0)
        if part and part["type"] == "Sequence":
            waiting[:0] = part.get("normalizers") or part.get("pretokenizers") or []
        elif part:
            yield part
