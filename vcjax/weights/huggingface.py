"""Hugging Face model folders in: architecture and weights from config.json and .safetensors files.

Only the families of ARCHITECTURES, only .safetensors, no code from the folder.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.architecture import Architecture, RopeScaling
from vcjax.models.transformer import Model
from vcjax.weights.placement import Index, Leaf, Reader, check_finite

# What a family adds to the Llama block.
ARCHITECTURES: dict[str, dict[str, bool]] = {
    "LlamaForCausalLM": {},  # Llama 3, SmolLM2
    "MistralForCausalLM": {},  # Mistral, Nemo
    "Qwen2ForCausalLM": {"qkv_bias": True},  # Qwen2, Qwen2.5
    "Qwen3ForCausalLM": {"qk_norm": True},
}

FLOATS = ("BF16", "F16", "F32", "F64")  # as .safetensors files name them

# Options that the block does not have: key of config.json -> the values that switch it off.
SWITCHED_OFF: dict[str, tuple[Any, ...]] = {
    "attention_bias": (None, False),
    "mlp_bias": (None, False),
    "hidden_act": ("silu",),
    "quantization_config": (None,),
    "partial_rotary_factor": (None, 1, 1.0),
}

PROJECTIONS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
NORMS = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
}
OUTSIDE = {
    "embed": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}


def read_architecture(folder: Path) -> Architecture:
    """The model's sizes and options; InputError names what is not supported."""
    path = folder / "config.json"
    config = _read_json(path)

    def need(key: str) -> Any:
        if config.get(key) is None:
            raise InputError(f"{path}: field {key!r} is missing")
        return config[key]

    names = config.get("architectures") or ["none"]
    if names[0] not in ARCHITECTURES:
        raise InputError(
            f"{path}: architecture {names[0]!r} is not supported; supported are "
            f"{', '.join(ARCHITECTURES)}"
        )
    for key, off in SWITCHED_OFF.items():
        if config.get(key) not in off:
            raise InputError(
                f"{path}: {key} is {json.dumps(config.get(key))}, which is not supported; only "
                f"{json.dumps(off[-1])} is"
            )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    heads = need("num_attention_heads")
    return Architecture(
        num_layers=need("num_hidden_layers"),
        embed_dim=need("hidden_size"),
        mlp_dim=need("intermediate_size"),
        num_heads=heads,
        num_kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or need("hidden_size") // heads,
        vocab_size=need("vocab_size"),
        context_length=min(need("max_position_embeddings"), _window(config)),
        rope_theta=float(rope.get("rope_theta") or need("rope_theta")),
        norm_eps=need("rms_norm_eps"),
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        rope_scaling=_rope_scaling(path, rope),
        **ARCHITECTURES[names[0]],
    )


def _window(config: Mapping[str, Any]) -> float:
    """The attention window in tokens; in rows no longer than it, attention is full attention."""
    slides = config.get("use_sliding_window", True)  # Mistral has no such switch
    return (config.get("sliding_window") or float("inf")) if slides else float("inf")


def _rope_scaling(path: Path, rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return None
    if kind != "llama3":
        raise InputError(f"{path}: RoPE scaling {kind!r} is not supported; 'llama3' and none are")
    fields = RopeScaling.__dataclass_fields__
    missing = [name for name in fields if rope.get(name) is None]
    if missing:
        raise InputError(f"{path}: the RoPE scaling 'llama3' has no {missing[0]!r}")
    return RopeScaling(**{name: rope[name] for name in fields})


def tensor_name(leaf: Leaf, layer: int | None) -> str:
    """leaf: path in the weights, as ("blocks", "q", "kernel") -> the name in the files."""
    if layer is None:
        return OUTSIDE[leaf[0]]
    _, module, kind = leaf
    suffix = "bias" if kind == "bias" else "weight"
    return f"model.layers.{layer}.{(PROJECTIONS | NORMS)[module]}.{suffix}"


def is_transposed(leaf: Leaf) -> bool:
    """PyTorch's matrices are [outputs, inputs], ours [inputs, outputs]; embeddings are alike."""
    return leaf[-1] == "kernel"


def open_weights(folder: Path) -> Reader:
    """A reader of single slices; the files are memory-mapped, so only the slice is read."""
    files, architecture = weight_files(folder), read_architecture(folder)
    sizes = _tensor_sizes(architecture)
    _check_names(folder, files, sizes, architecture.num_layers)
    opened = functools.cache(open_file)

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        name = tensor_name(leaf, layer)
        if name not in files:
            raise InputError(f"{folder}: tensor {name!r} is missing")
        tensor = opened(files[name]).get_slice(name)
        if tensor.get_dtype() not in FLOATS:
            raise InputError(
                f"{files[name]}: tensor {name!r} is {tensor.get_dtype()}, expected one of "
                f"{', '.join(FLOATS)}; give the model that it was quantised from"
            )
        if tensor.get_shape() != sizes[leaf]:
            raise InputError(
                f"{files[name]}: tensor {name!r} is {tensor.get_shape()}, expected {sizes[leaf]}"
            )
        part = tensor[index[::-1]].T if is_transposed(leaf) else tensor[index]
        return check_finite(part, name, files[name])

    return read


def _check_names(
    folder: Path, files: Iterable[str], leaves: Iterable[Leaf], num_layers: int
) -> None:
    """Refuses tensors that the block has no place for: without them it would be another model."""
    known = {
        tensor_name(leaf, layer)
        for leaf in leaves
        for layer in (range(num_layers) if leaf[0] == "blocks" else [None])
    }
    known.add(OUTSIDE["head"])  # some files hold it although it is tied to the embeddings
    for name in sorted({*files} - known):
        if not name.endswith("rotary_emb.inv_freq"):  # which older files hold: config.json has it
            raise InputError(
                f"{folder}: tensor {name!r} is no weight of the architecture that config.json "
                "names, and vcjax would leave it out; use another model"
            )


def weight_sizes(architecture: Architecture) -> dict[Leaf, tuple[int, ...]]:
    """The shape of each weight in our layout, layers stacked."""
    model = Model(architecture, lora=None, compute_dtype="float32", remat="full")
    leaves = jax.tree_util.tree_leaves_with_path(transformer.weight_shapes(model))
    return {tuple(key.key for key in path): leaf.shape for path, leaf in leaves}


def _tensor_sizes(architecture: Architecture) -> dict[Leaf, list[int]]:
    """The shape of each tensor in the files, which hold one layer each."""
    sizes = {}
    for leaf, size in weight_sizes(architecture).items():
        one = [*(size[1:] if leaf[0] == "blocks" else size)]
        sizes[leaf] = one[::-1] if is_transposed(leaf) else one
    return sizes


def weight_files(folder: Path) -> dict[str, Path]:
    """Tensor name -> the file that holds it, of a single file or of a sharded model."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = _read_json(index).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise InputError(f"{index}: field 'weight_map' is missing or empty")
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the folder of a model") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object")
    return content
