"""Hugging Face tokenizers in: tokenizer.json, tokenizer_config.json and the chat template.

No code of the model's is run and no pickle is read. The `tokenizers` library encodes, as in
`transformers`, with one difference: here text never becomes a control token. So control tokens are
taken out of the file before the library reads it.

Which added tokens are control tokens: those that are special, and those that look like a marker,
<...> or [...]. Llama 3, Qwen2 and 2.5, Qwen3, Mistral v0.3, Nemo and SmolLM2 have no others (Qwen's
<tool_call> and <think> are not special but markers). Any other added token, as a run of spaces in
GPT-NeoX, is ordinary text and stays with the library.

Some tokenizers (SentencePiece's, as Mistral v0.3) put a space before each piece of text between
control tokens, or before the first alone, and so does this one; but not where a turn starts in the
middle of a text. Only there can ids differ from those of `transformers`: a token that would span a
prompt's end and an answer's beginning ("\\n\\n" of two lines) becomes two, since at inference the
model gets the prompt alone.
"""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, models
from tokenizers import Tokenizer as BPETokenizer

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.weights import chat_templates, prefix_space
from vcjax.workdir.files import read_json

MARKER = re.compile(r"<\S+>|\[\S+\]")

# The token that ends a document, in the order of preference (in Gemma </s> is a tag of HTML). The
# eos token comes last: in a chat model it ends a turn (Qwen2.5-Instruct <|im_end|>,
# Llama-3.1-Instruct <|eot_id|>).
END_OF_DOCUMENT = ("<|end_of_text|>", "<|endoftext|>", "<eos>", "</s>")

SAVE_AGAIN = "save the tokenizer again with transformers' save_pretrained"


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder; InputError names the file and field it cannot use."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            f"{folder}: no tokenizer.json, and vcjax reads no other format (a tokenizer.model or "
            "tekken.json neither); convert it once: python -c 'from transformers import "
            'AutoTokenizer as T; T.from_pretrained("FOLDER").save_pretrained("FOLDER")\''
        )
    original, config, spec = _original(path), _read_config(folder), read_json(path)
    added = {token.content: id_ for id_, token in original.get_added_tokens_decoder().items()}
    settings = folder / "tokenizer_config.json"
    named = _template_tokens(settings, config)
    _check_config(settings, config, added, named.values())
    prefix_space.check(settings, config, spec)
    model_type = (read_json(folder / "config.json") or {}).get("model_type")
    return dataclasses.replace(
        separated(path, original, spec, named, chat_templates.read(folder, config)),
        warnings=tuple(prefix_space.warnings(model_type, config, spec)),
    )


def separated(
    path: Path,
    original: BPETokenizer,
    spec: dict[str, Any],
    template_tokens: dict[str, str],
    templates: dict[str, str],
) -> Tokenizer:
    """The tokenizer with its control tokens apart from the text.

    path: of the file that it is in, for errors. spec: what `original` is as a tokenizer.json.
    templates: by name; "default" where none is asked for. Raises InputError where a control token
    changes the text around it, or none ends a document.
    """
    control = dict(_control(path, original, normalizes=not _is_empty(spec.get("normalizer"))))
    chat_template = templates.get("default", "")
    named = {name: source for name, source in templates.items() if name != "default"}
    bos_id, eos_id = _bos_id(path, original), _eos_id(path, control, template_tokens)
    added = {token.content: id_ for id_, token in original.get_added_tokens_decoder().items()}
    spec = _without(control, added, spec)
    decides = [spec, control, chat_template, bos_id, eos_id, template_tokens]
    decides += [named] if named else []
    return Tokenizer(
        bpe=BPETokenizer.from_str(json.dumps(spec)),
        control=control,
        chat_template=chat_template,
        bos_id=bos_id,
        eos_id=eos_id,
        template_tokens=template_tokens,
        words=frozenset(spec["model"]["vocab"]) if spec["model"]["type"] == "WordLevel" else None,
        identity=hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest(),
        named_templates=named,
    )


def _original(path: Path) -> BPETokenizer:
    try:
        original = BPETokenizer.from_file(str(path))
    except Exception as error:  # the library raises a plain Exception
        raise InputError(f"{path}: not a tokenizer that `tokenizers` reads ({error})") from error
    model, cutting = original.model, f"{original.normalizer} {original.pre_tokenizer}"
    if not isinstance(model, models.BPE | models.WordLevel):
        kind = type(model).__name__
        raise InputError(
            f"{path}: model.type {kind!r} is not supported; expected 'BPE' or 'WordLevel'"
        )
    if isinstance(model, models.BPE) and not (model.byte_fallback or "ByteLevel" in cutting):
        raise InputError(
            f"{path}: the BPE has no ids for some characters; expected ByteLevel or byte_fallback"
        )
    if isinstance(model, models.BPE) and model.dropout:
        raise InputError(
            f"{path}: model.dropout is {model.dropout:g}, so that the same text has other ids each "
            "time; set it to null"
        )
    original.no_padding()  # or it would be among what _bos_id finds before a text
    return original


def _read_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, and special_tokens_map.json where `transformers` reads it too."""
    path = folder / "tokenizer_config.json"
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: no such file or no JSON object; {SAVE_AGAIN}")
    if "added_tokens_decoder" in config:
        return config
    beside = folder / "special_tokens_map.json"
    more = read_json(beside, default={})
    if not isinstance(more, dict):
        raise InputError(f"{beside}: no JSON object; {SAVE_AGAIN}")
    return config | more


def _content(path: Path, key: str, token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    if not isinstance(content, str):
        raise InputError(
            f"{path}: {key}: {json.dumps(token)} is no token; expected its text, or an object with "
            f"that as 'content'; {SAVE_AGAIN}"
        )
    return content


def _template_tokens(path: Path, config: dict[str, Any]) -> dict[str, str]:
    """What a template may write by its name: bos_token, eos_token and the model's own.

    null is no token, and add_bos_token is a switch.
    """
    named = {k: v for k, v in config.items() if k.endswith("_token") and isinstance(v, str | dict)}
    own = config.get("extra_special_tokens")
    named |= own if isinstance(own, dict) else {}
    return {key: _content(path, key, token) for key, token in named.items()}


def _check_config(
    path: Path, config: dict[str, Any], added: dict[str, int], named: Iterable[str]
) -> None:
    """Whatever it names as a token must be an added token, else it would be encoded as text. named:
    what `_template_tokens` names."""
    if "auto_map" in config:
        raise InputError(f"{path}: auto_map: the tokenizer is code of its own, which is not run")
    decoder = config.get("added_tokens_decoder", {})
    if not isinstance(decoder, dict) or not all(map(str.isdecimal, decoder)):
        raise InputError(
            f"{path}: added_tokens_decoder: expected an object whose keys are ids; {SAVE_AGAIN}"
        )
    listed: list[str] = []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        given = config.get(key) or []
        if not isinstance(given, list | dict):
            raise InputError(f"{path}: {key}: expected a list of tokens; {SAVE_AGAIN}")
        if isinstance(given, list):  # an object names its tokens, as a template's
            listed += [_content(path, key, token) for token in given]
    ids = {_content(path, f"added_tokens_decoder.{i}", t): int(i) for i, t in decoder.items()}
    for token in [*ids, *named, *listed]:
        if token not in added or ids.get(token, added[token]) != added[token]:
            raise InputError(
                f"{path}: {token!r} is not among the added_tokens of tokenizer.json, or has "
                f"another id there; {SAVE_AGAIN}"
            )


def _control(path: Path, original: BPETokenizer, normalizes: bool) -> Iterator[tuple[str, int]]:
    for id_, token in original.get_added_tokens_decoder().items():
        if not (token.special or MARKER.fullmatch(token.content)):
            continue
        for flag in _flags_that_matter(token, normalizes):
            raise InputError(
                f"{path}: added_tokens: {token.content!r} has {flag} true, which changes the text "
                "around it and is not supported; use another model"
            )
        yield token.content, id_


def _is_empty(normalizer: dict[str, Any] | None) -> bool:
    return normalizer is None or (
        normalizer["type"] == "Sequence" and all(map(_is_empty, normalizer["normalizers"]))
    )


def _flags_that_matter(token: AddedToken, normalizes: bool) -> list[str]:
    """Those that are on; `normalized` matters only where there is a normalizer."""
    flags = ["lstrip", "rstrip", "single_word", *(["normalized"] if normalizes else [])]
    return [flag for flag in flags if getattr(token, flag)]


def _bos_id(path: Path, original: BPETokenizer) -> int | None:
    """What the original puts before a text; the config does not count, as in `transformers` 5."""
    of_words = isinstance(original.model, models.WordLevel)
    encoding = original.encode(
        min(original.get_vocab(with_added_tokens=False)) if of_words else "a"
    )
    pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    before = [id_ for id_, _ in itertools.takewhile(lambda pair: pair[1], pairs)]
    if len(before) > 1:
        raise InputError(
            f"{path}: post_processor: it puts {len(before)} tokens before a text; expected 0 or 1"
        )
    return before[0] if before else None


def _eos_id(path: Path, control: dict[str, int], template_tokens: dict[str, str]) -> int:
    for token in (*END_OF_DOCUMENT, template_tokens.get("eos_token")):
        if token in control:
            return control[token]
    raise InputError(
        f"{path}: added_tokens: none ends a document; expected one of {', '.join(END_OF_DOCUMENT)} "
        "or an eos_token in tokenizer_config.json"
    )


def _without(
    control: dict[str, int], added: dict[str, int], spec: dict[str, Any]
) -> dict[str, Any]:
    """The file without its control tokens and without what is put around or cut off a text.

    They also leave the vocabulary and the merges: a whole-word match (ignore_merges, Llama 3) or a
    merge (a converted SentencePiece model) could turn typed text into one. Added tokens that stay
    must be in the vocabulary, from which the library takes their ids.
    """
    model = spec["model"]
    text = {token: id_ for token, id_ in added.items() if token not in control}
    vocab = {token: id_ for token, id_ in model["vocab"].items() if token not in control} | text
    if model["type"] == "WordLevel":  # "" is no word: one that it lacks is an error
        model = model | {"vocab": vocab, "unk_token": ""}
    else:
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        merges = [pair for pair in pairs if not control.keys() & {*pair, "".join(pair)}]
        model = model | {"vocab": vocab, "merges": merges, "unk_token": None}
    return spec | {
        "added_tokens": [token for token in spec["added_tokens"] if token["content"] in text],
        "post_processor": None,
        "truncation": None,
        "padding": None,
        # It is a control token. Bytes without an id (SmolLM2 lacks a few) give no token, as there.
        "model": model,
    }
