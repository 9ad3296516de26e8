"""GGUF files (llama.cpp's format) in: architecture, tokenizer and weights of a Llama."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import Tokenizer as BPETokenizer
from tokenizers import decoders, models, pre_tokenizers

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture
from vcjax.weights.placement import Index, Leaf, Reader, check_finite

CONTROL = 3  # gguf's token type of control tokens
# The base model's; the file's own eos token is the chat's end of a turn.
END_OF_DOCUMENT = "<|endoftext|>"

PROJECTIONS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
NORMS = {"attention_norm": "attn_norm", "mlp_norm": "ffn_norm"}
OUTSIDE = {"embed": "token_embd", "norm": "output_norm", "head": "output"}

# How llama.cpp's named pre-tokenizers split text before the byte-level BPE.
PRE_TOKENIZERS = {
    "smollm": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
}


@functools.cache  # parsing the header's 100,000 strings takes seconds
def _reader(path: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except Exception as error:  # gguf raises several types on a file that is not one
        raise InputError(f"{path}: not a readable GGUF file ({error})") from error


def _field(path: Path, name: str) -> Any:
    field = _reader(path).fields.get(name)
    if field is None:
        raise InputError(f"{path}: the GGUF header has no field {name!r}")
    return field.contents()


def read_architecture(path: Path) -> Architecture:
    """The model's sizes, from the header; InputError names what is not supported."""
    architecture = _field(path, "general.architecture")
    if architecture != "llama":
        raise InputError(
            f"{path}: architecture {architecture!r} is not supported; expected 'llama'"
        )
    llama = lambda name: _field(path, f"llama.{name}")  # noqa: E731
    names = {tensor.name for tensor in _reader(path).tensors}
    scaling = _reader(path).fields.get("llama.rope.scaling.type")
    if "rope_freqs.weight" in names or (scaling is not None and scaling.contents() != "none"):
        raise InputError(f"{path}: scaled RoPE is not supported")
    embed_dim, num_heads = llama("embedding_length"), llama("attention.head_count")
    return Architecture(
        num_layers=llama("block_count"),
        embed_dim=embed_dim,
        mlp_dim=llama("feed_forward_length"),
        num_heads=num_heads,
        num_kv_heads=llama("attention.head_count_kv"),
        head_dim=embed_dim // num_heads,
        vocab_size=len(_field(path, "tokenizer.ggml.tokens")),
        context_length=llama("context_length"),
        rope_theta=float(llama("rope.freq_base")),
        # The header holds it in float32; `transformers` uses the decimal that it was rounded from.
        norm_eps=float(f"{llama('attention.layer_norm_rms_epsilon'):.6g}"),
        tied_embeddings="output.weight" not in names,
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer and chat template that the file carries."""
    model, pre = _field(path, "tokenizer.ggml.model"), _field(path, "tokenizer.ggml.pre")
    if model != "gpt2" or pre not in PRE_TOKENIZERS:
        raise InputError(
            f"{path}: tokenizer {model!r} with pre-tokenizer {pre!r} is not supported; expected "
            f"'gpt2' with one of {sorted(PRE_TOKENIZERS)}"
        )
    tokens = _field(path, "tokenizer.ggml.tokens")
    merges = _field(path, "tokenizer.ggml.merges")
    template = _field(path, "tokenizer.chat_template")
    if END_OF_DOCUMENT not in tokens:
        raise InputError(f"{path}: the vocabulary has no {END_OF_DOCUMENT}, which ends documents")
    types = _field(path, "tokenizer.ggml.token_type")
    bpe = BPETokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in merges],
        )
    )
    bpe.pre_tokenizer = PRE_TOKENIZERS[pre]()
    bpe.decoder = decoders.ByteLevel()
    adds_bos = _field(path, "tokenizer.ggml.add_bos_token")
    return Tokenizer(
        bpe=bpe,
        control={
            t: i for i, (t, kind) in enumerate(zip(tokens, types, strict=True)) if kind == CONTROL
        },
        chat_template=template,
        bos_id=_field(path, "tokenizer.ggml.bos_token_id") if adds_bos else None,
        eos_id=tokens.index(END_OF_DOCUMENT),
        template_tokens={
            f"{name}_token": tokens[_field(path, f"tokenizer.ggml.{name}_token_id")]
            for name in ("bos", "eos")
        },
        identity=hashlib.sha256("\0".join([pre, template, *tokens, *merges]).encode()).hexdigest(),
    )


def open_weights(path: Path) -> Reader:
    """A reader of slices; a quantised tensor is dequantised whole for each slice."""
    architecture = read_architecture(path)
    tensors = {tensor.name: tensor for tensor in _reader(path).tensors}
    known = {_tensor_name((name,), None) for name in OUTSIDE}
    for layer in range(architecture.num_layers):
        known |= {_tensor_name(("blocks", name), layer) for name in PROJECTIONS | NORMS}
    for name in sorted(tensors.keys() - known):  # without it, it would be another model
        raise InputError(f"{path}: tensor {name!r} is not supported; use another model")

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        name = _tensor_name(leaf, layer)
        if name not in tensors:
            raise InputError(f"{path}: tensor {name!r} is missing")
        tensor = tensors[name]
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        check_finite(weight, name, path)
        if leaf[-1] != "kernel":
            return weight[index]
        if leaf[1] in ("q", "k"):
            weight = _undo_permutation(weight, architecture.head_dim)
        return weight.T[index]  # [outputs, inputs] in the file

    return read


def _tensor_name(leaf: Leaf, layer: int | None) -> str:
    if layer is None:
        return f"{OUTSIDE[leaf[0]]}.weight"
    return f"blk.{layer}.{(PROJECTIONS | NORMS)[leaf[1]]}.weight"


def _undo_permutation(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """llama.cpp interleaves the two halves of each head in q and k; RoPE here needs them apart."""
    outputs, inputs = weight.shape
    heads = weight.reshape(outputs // head_dim, head_dim // 2, 2, inputs)
    return heads.swapaxes(1, 2).reshape(outputs, inputs)
