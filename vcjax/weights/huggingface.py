"""Hugging Face model folders in: architecture and weights from config.json and .safetensors files.

Only the families of FAMILIES, only .safetensors, no code from the folder.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.architecture import Architecture
from vcjax.models.transformer import Model
from vcjax.weights.families import gemma3, granite, llama, mistral, olmo, qwen, smollm3
from vcjax.weights.families.config_json import ConfigJson, read_json
from vcjax.weights.families.family import PROJECTIONS, ROUTER, Family, expert_name
from vcjax.weights.placement import Index, Leaf, Reader, check_finite

# model_type -> the family, and the classes of `transformers` that may stand in `architectures`.
FAMILIES: dict[str, Family] = {
    "llama": llama.FAMILY,
    "mistral": mistral.MISTRAL,
    "ministral": mistral.MINISTRAL,
    "qwen2": qwen.QWEN2,
    "qwen3": qwen.QWEN3,
    "qwen3_moe": qwen.QWEN3_MOE,
    "olmo2": olmo.OLMO2,
    "olmo3": olmo.OLMO3,
    "gemma3_text": gemma3.GEMMA3_TEXT,
    "gemma3": gemma3.GEMMA3,
    "granite": granite.FAMILY,
    "smollm3": smollm3.FAMILY,
}
CLASSES = {
    "LlamaForCausalLM": "llama",
    "LLaMAForCausalLM": "llama",  # of the first files of Llama
    "MistralForCausalLM": "mistral",
    "MinistralForCausalLM": "ministral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "Olmo2ForCausalLM": "olmo2",
    "Olmo3ForCausalLM": "olmo3",
    "Gemma3ForCausalLM": "gemma3_text",
    "Gemma3ForConditionalGeneration": "gemma3",
    "GraniteForCausalLM": "granite",
    "SmolLM3ForCausalLM": "smollm3",
}

FLOATS = ("BF16", "F16", "F32", "F64")  # as .safetensors files name them
OUTSIDE = {
    "embed": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}
ROWS = 4096  # of the head and the embeddings that are compared at once


def model_type(folder: Path) -> str:
    """A key of FAMILIES, by config.json."""
    return _model_type(folder / "config.json", read_json(folder / "config.json"))


def _model_type(path: Path, config: dict[str, Any]) -> str:
    """By `model_type`, as `transformers`; by the class in files of no model_type."""
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path}: architectures is {json.dumps(names)}, expected a list of classes' names"
        )
    if names and names[0] not in CLASSES:
        raise InputError(
            f"{path}: architecture {names[0]!r} is not supported; supported are "
            f"{', '.join(CLASSES)}"
        )
    found = config.get("model_type", CLASSES[names[0]] if names else None)
    if not isinstance(found, str) or found not in FAMILIES:
        raise InputError(
            f"{path}: model_type {found!r} is not supported; supported are {', '.join(FAMILIES)}"
        )
    return found


def read_architecture(folder: Path) -> Architecture:
    """The model's sizes and options; InputError names what is not supported."""
    path = folder / "config.json"
    config = read_json(path)
    family = FAMILIES[_model_type(path, config)]
    architecture = family.read(ConfigJson(path, config))
    if architecture.tied_embeddings and _has_other_head(folder, family):
        return dataclasses.replace(architecture, tied_embeddings=False)
    return architecture


def _has_other_head(folder: Path, family: Family) -> bool:
    """Whether the files hold a head that is not the embeddings, which a model with tied ones has
    nevertheless, in `transformers` 5 too."""
    try:
        files = _own_files(folder, family)
    except InputError:  # that `open_weights` will raise
        return False
    if not files.keys() >= {OUTSIDE["head"], OUTSIDE["embed"]}:
        return False
    places = [files[OUTSIDE[leaf]] for leaf in ("head", "embed")]
    written = tuple((stat.st_size, stat.st_mtime_ns) for stat in (p.stat() for _, p in places))
    return _differ(*places, written)


@functools.lru_cache(maxsize=8)
def _differ(
    one: tuple[str, Path], other: tuple[str, Path], written: tuple[tuple[int, int], ...]
) -> bool:
    """Whether two tensors, each (name, file), are unlike: read once for as long as the files are as
    they were written, for they are large."""
    first, second = (open_file(path).get_slice(name) for name, path in (one, other))
    if first.get_shape() != second.get_shape():
        return True
    count = first.get_shape()[0]
    parts = (slice(start, min(start + ROWS, count)) for start in range(0, count, ROWS))
    return any((first[part] != second[part]).any() for part in parts)


def tensor_name(
    leaf: Leaf, layer: int | None, family: Family = llama.FAMILY, expert: int | None = None
) -> str:
    """leaf: path in the weights, as ("blocks", "q", "kernel") -> its name in the files of a text
    model; expert: of one whose experts each have a tensor of their own."""
    if layer is None:
        return OUTSIDE[leaf[0]]
    _, module, kind = leaf
    suffix = "bias" if kind == "bias" else "weight"
    names = {**PROJECTIONS, **family.norms, "router": ROUTER}
    name = names[module] if expert is None else expert_name(module, expert)
    return f"model.layers.{layer}.{name}.{suffix}"


def experts_of(leaf: Leaf, architecture: Architecture) -> Sequence[int | None]:
    """The experts that each have a tensor of a weight; [None] where there is one for all."""
    if leaf[0] != "blocks" or not architecture.is_of_experts(leaf[1]):
        return [None]
    return range(architecture.matrices(leaf[1]))


def is_transposed(leaf: Leaf) -> bool:
    """PyTorch's matrices are [outputs, inputs], ours [inputs, outputs]; embeddings are alike."""
    return leaf[-1] == "kernel"


def open_weights(folder: Path) -> Reader:
    """A reader of single slices; the files are memory-mapped, so only the slice is read.

    Raises InputError where they do not hold the tensors of the architecture.
    """
    family = FAMILIES[model_type(folder)]
    files, architecture = _own_files(folder, family), read_architecture(folder)
    opened = functools.cache(open_file)
    _check_tensors(folder, files, architecture, family, opened)

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        experts = experts_of(leaf, architecture)
        if experts == [None]:
            return read_one(leaf, tensor_name(leaf, layer, family), index)
        names = (tensor_name(leaf, layer, family, expert) for expert in experts[index[0]])
        return np.stack([read_one(leaf, name, index[1:]) for name in names])

    def read_one(leaf: Leaf, own: str, index: Index) -> np.ndarray:
        name, path = files[own]
        tensor = opened(path).get_slice(name)
        part = tensor[index[::-1]].T if is_transposed(leaf) else tensor[index]
        return check_finite(part, name, path)

    return read


def _check_tensors(
    folder: Path,
    files: Mapping[str, tuple[str, Path]],
    architecture: Architecture,
    family: Family,
    opened: Callable[[Path], Any],
) -> None:
    """Refuses, by the headers of the files, tensors that are missing or of another shape or type,
    and those that the block has no place for: without them it would be another model."""
    sizes = {
        tensor_name(leaf, layer, family, expert): size
        for leaf, size in _tensor_sizes(architecture).items()
        for layer in (range(architecture.num_layers) if leaf[0] == "blocks" else [None])
        for expert in experts_of(leaf, architecture)
    }
    # Some files hold the head although it is tied to the embeddings.
    for name in sorted(files.keys() - sizes.keys() - {OUTSIDE["head"]}):
        if not name.endswith("rotary_emb.inv_freq"):  # which older files hold: config.json has it
            raise InputError(
                f"{folder}: tensor {name!r} is no weight of the architecture that config.json "
                "names, and vcjax would leave it out; use another model"
            )
    for own, size in sizes.items():
        if own not in files:
            raise InputError(f"{folder}: tensor {own!r} is missing")
        name, path = files[own]
        try:
            tensor = opened(path).get_slice(name)
        except SafetensorError:  # an index names it in this file
            raise InputError(f"{path}: tensor {name!r} is missing") from None
        if tensor.get_dtype() not in FLOATS:
            raise InputError(
                f"{path}: tensor {name!r} is {tensor.get_dtype()}, expected one of "
                f"{', '.join(FLOATS)}; give the model that it was quantised from"
            )
        if tensor.get_shape() != size:
            raise InputError(f"{path}: tensor {name!r} is {tensor.get_shape()}, expected {size}")


def _own_files(folder: Path, family: Family) -> dict[str, tuple[str, Path]]:
    """A tensor's name in the text model -> its name in the files, and the file that holds it."""
    named = ((family.own_name(name), (name, file)) for name, file in weight_files(folder).items())
    return {own: place for own, place in named if own is not None}


def weight_sizes(architecture: Architecture) -> dict[Leaf, tuple[int, ...]]:
    """The shape of each weight in our layout, layers stacked."""
    model = Model(architecture, lora=None, compute_dtype="float32", remat="full")
    leaves = jax.tree_util.tree_leaves_with_path(transformer.weight_shapes(model))
    return {tuple(key.key for key in path): leaf.shape for path, leaf in leaves}


def _tensor_sizes(architecture: Architecture) -> dict[Leaf, list[int]]:
    """The shape of each tensor in the files, which hold one layer each, and one expert."""
    sizes = {}
    for leaf, size in weight_sizes(architecture).items():
        one = [*(size[1:] if leaf[0] == "blocks" else size)]
        one = one[1:] if experts_of(leaf, architecture) != [None] else one
        sizes[leaf] = one[::-1] if is_transposed(leaf) else one
    return sizes


def weight_files(folder: Path) -> dict[str, Path]:
    """Tensor name -> the file that holds it, of a single file or of a sharded model."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = read_json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise InputError(f"{index}: field 'weight_map' is missing or empty")
        for name, file in named.items():
            if not isinstance(file, str):
                raise InputError(
                    f"{index}: weight_map: {name} is {json.dumps(file)}, expected a file's name"
                )
        files = {name: folder / file for name, file in named.items()}
        missing = sorted(f for f in files.values() if f.parent != folder or not f.is_file())
        if missing:
            raise InputError(f"{index}: names {missing[0]}, which is not in the folder")
        return files
    single = folder / "model.safetensors"
    if not single.is_file():
        raise InputError(
            f"{folder}: no model.safetensors and no model.safetensors.index.json; vcjax reads no "
            "other weights (a .bin file is a pickle: convert it with transformers' save_pretrained)"
        )
    return dict.fromkeys(open_file(single).keys(), single)


def open_file(path: Path) -> Any:
    """A memory-mapped .safetensors file; its tensors come as NumPy arrays."""
    try:
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable .safetensors file ({error})") from error
