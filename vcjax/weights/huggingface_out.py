"""Hugging Face model folders out: weights, config.json, tokenizer, generation_config.json."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from etils import epath
from safetensors.numpy import save_file
from tokenizers.processors import TemplateProcessing

from vcjax.data.tokenizer import Tokenizer
from vcjax.models.architecture import Architecture
from vcjax.weights import chat_templates
from vcjax.weights.families import llama
from vcjax.weights.families.family import Family
from vcjax.weights.huggingface import experts_of, is_transposed, tensor_name, weight_sizes
from vcjax.weights.placement import Reader
from vcjax.weights.stop_tokens import stop_ids
from vcjax.workdir import files

FILE_BYTES = 5 * 10**9  # of one weight file at most, unless a single tensor is larger

# Copied from the base's folder unchanged: the tokenizer, and the terms of use.
COPIED = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
    *("LICENSE*", "NOTICE*"),
)


def write_weights(
    folder: Path, read: Reader, architecture: Architecture, family: Family = llama.FAMILY
) -> None:
    """Writes all weights, in the types that `read` gives: one file, or several and their index.

    Host memory holds the tensors of one file.
    """
    written: list[list[str]] = []
    total = 0
    for tensors in _by_file(_tensors(read, architecture, family)):
        save(tensors, folder / f"{len(written)}.unfinished")
        written.append(list(tensors))
        total += sum(tensor.nbytes for tensor in tensors.values())
    names = ["model.safetensors"]
    if len(written) > 1:
        count = len(written)
        names = [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
        files.write_json(
            folder / "model.safetensors.index.json",
            {
                "metadata": {"total_size": total},
                "weight_map": {t: n for n, own in zip(names, written, strict=True) for t in own},
            },
        )
    for i, name in enumerate(names):
        (folder / f"{i}.unfinished").rename(folder / name)


def save(tensors: dict[str, np.ndarray], path: Path) -> None:
    """Writes a .safetensors file with the folder's permissions; the library's are private."""
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(path.parent.stat().st_mode & 0o666)


def _by_file(tensors: Iterable[tuple[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """The tensors of each file in turn; a yielded dict is emptied before the next."""
    together: dict[str, np.ndarray] = {}
    for name, tensor in tensors:
        if together and sum(t.nbytes for t in together.values()) + tensor.nbytes > FILE_BYTES:
            yield together
            together.clear()
        together[name] = tensor
    yield together


def _tensors(
    read: Reader, architecture: Architecture, family: Family
) -> Iterator[tuple[str, np.ndarray]]:
    """(name in the files, tensor in the files' layout) of every weight."""
    for leaf, size in weight_sizes(architecture).items():
        stacked = leaf[0] == "blocks"
        for layer in range(size[0]) if stacked else [None]:
            tensor = read(leaf, layer, (slice(None),) * (len(size) - stacked))
            for expert in experts_of(leaf, architecture):
                one = tensor if expert is None else tensor[expert]
                one = one.T if is_transposed(leaf) else one
                yield tensor_name(leaf, layer, family, expert), np.ascontiguousarray(one)


def model_config(
    base: Path | None,
    dtype: str,
    architecture: Architecture,
    tokenizer: Tokenizer,
    family: Family = llama.FAMILY,
) -> dict[str, Any]:
    """config.json: that of the base's folder with the type of the weights, or a new one.

    base: here and below the base's folder, None where it has none. Of a multimodal base that of the
    text model alone.
    """
    if base is not None:
        config = family.text_config(files.read_json(base / "config.json"))
    else:
        assert family.config is not None
        special = _special_tokens(tokenizer)
        ids = {f"{name}_id": tokenizer.control[token] for name, token in special.items()}
        config = family.config(architecture) | ids
    if not architecture.tied_embeddings:  # which the base's files may show, not its config.json
        config["tie_word_embeddings"] = False
    return config | {"torch_dtype" if "torch_dtype" in config else "dtype": dtype}


def write_tokenizer(folder: epath.Path, base: Path | None, tokenizer: Tokenizer) -> None:
    """The base's own files, or new ones; and the run's chat templates."""
    if base is not None:
        for pattern in COPIED:
            for path in filter(Path.is_file, base.glob(pattern)):
                shutil.copyfile(path, folder / path.name)
    else:
        files.write_text(folder / "tokenizer.json", _with_control_tokens(tokenizer).to_str(True))
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **_special_tokens(tokenizer),
        }
        files.write_json(folder / "tokenizer_config.json", settings)
    chat_templates.write(folder, tokenizer)


def _special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """bos_token, eos_token and pad_token, which is the end of a document: it ends no turn."""
    names = tokenizer.control_names
    return {**tokenizer.template_tokens, "pad_token": names[tokenizer.eos_id]}


def _with_control_tokens(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The tokenizer for other libraries: the text of a control token becomes the token."""
    spec = json.loads(tokenizer.bpe.to_str())
    if tokenizer.words is None:  # the library takes ids from a vocabulary; of words, the next ones
        spec["model"]["vocab"] |= tokenizer.control
    bpe = tokenizers.Tokenizer.from_str(json.dumps(spec))
    by_id = sorted(tokenizer.control, key=lambda token: tokenizer.control[token])
    bpe.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in by_id])
    if tokenizer.bos_id is not None:
        bos = next(token for token, id_ in tokenizer.control.items() if id_ == tokenizer.bos_id)
        bpe.post_processor = TemplateProcessing(
            single=[bos, "$A"], pair=[bos, "$A", "$B:1"], special_tokens=[(bos, tokenizer.bos_id)]
        )
    return bpe


def write_generation_config(
    folder: Path, base: Path | None, config: dict[str, Any], tokenizer: Tokenizer
) -> None:
    """generation_config.json: the base's own, with the ends of document and turn as stop tokens.

    config: config.json, whose token ids are used where the base has no such file, as in
    `transformers`.
    """
    generation = None if base is None else files.read_json(base / "generation_config.json")
    if generation is None:
        names = ("bos_token_id", "eos_token_id", "pad_token_id")
        generation = {name: config[name] for name in names if config.get(name) is not None}
    generation["eos_token_id"] = stop_ids(base, tokenizer)
    files.write_json(folder / "generation_config.json", generation)
