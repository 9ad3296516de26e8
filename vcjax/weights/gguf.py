"""GGUF files (llama.cpp's format) in: Llama and Gemma 3, with the tokenizer of SmolLM2 or one of
SentencePiece."""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import Tokenizer as BPETokenizer
from tokenizers import decoders, models, pre_tokenizers, processors

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, Layer, Rope
from vcjax.weights import sentencepiece, tokenizer_json
from vcjax.weights.families import gemma3
from vcjax.weights.families.config_json import ABSENT, ConfigJson
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
NORMS = {
    "attention_norm": "attn_norm",
    "after_attention_norm": "post_attention_norm",
    "mlp_norm": "ffn_norm",
    "after_mlp_norm": "post_ffw_norm",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
}
OUTSIDE = {"embed": "token_embd", "norm": "output_norm", "head": "output"}
GEMMA3_27B = 62  # layers; the one size whose scores are scaled by something else than head_dim

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


def _field(path: Path, name: str, default: Any = ABSENT) -> Any:
    field = _reader(path).fields.get(name)
    if field is None and default is ABSENT:
        raise InputError(f"{path}: the GGUF header has no field {name!r}")
    return default if field is None else field.contents()


def _own_field(path: Path, name: str, default: Any = ABSENT) -> Any:
    """One that has the architecture's name before its own."""
    return _field(path, f"{_field(path, 'general.architecture')}.{name}", default)


def _tensors(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in _reader(path).tensors}


def model_type(path: Path) -> str:
    """The same in a config.json of `transformers`."""
    architecture = _field(path, "general.architecture")
    if architecture not in READERS:
        raise InputError(
            f"{path}: architecture {architecture!r} is not supported; expected "
            f"{' or '.join(map(repr, READERS))}"
        )
    return "gemma3_text" if architecture == "gemma3" else architecture


def read_architecture(path: Path) -> Architecture:
    """The model's sizes, from the header; InputError names what is not supported."""
    model_type(path)
    return READERS[_field(path, "general.architecture")](path)


def _sizes(path: Path) -> dict[str, Any]:
    """What the families' headers have alike."""
    field = functools.partial(_own_field, path)
    return dict(
        num_layers=field("block_count"),
        embed_dim=field("embedding_length"),
        mlp_dim=field("feed_forward_length"),
        num_heads=field("attention.head_count"),
        num_kv_heads=field("attention.head_count_kv"),
        vocab_size=len(_field(path, "tokenizer.ggml.tokens")),
        context_length=field("context_length"),
        # The header holds it in float32; `transformers` uses the decimal that it was rounded from.
        norm_eps=float(f"{field('attention.layer_norm_rms_epsilon'):.6g}"),
        tied_embeddings="output.weight" not in _tensors(path),
    )


def _read_llama(path: Path) -> Architecture:
    sizes = _sizes(path)
    scaling = _own_field(path, "rope.scaling.type", "none")
    if "rope_freqs.weight" in _tensors(path) or scaling != "none":
        raise InputError(f"{path}: scaled RoPE is not supported")
    period = (Layer(Rope(float(_own_field(path, "rope.freq_base")))),)
    return Architecture(**sizes, head_dim=sizes["embed_dim"] // sizes["num_heads"], period=period)


def _read_gemma3(path: Path) -> Architecture:
    """By the config.json that it was converted from; what no header says is in llama.cpp's code."""
    sizes, head_dim = _sizes(path), _own_field(path, "attention.key_length")
    scaling = _own_field(path, "rope.scaling.type", "none")
    if scaling not in ("none", "linear"):
        raise InputError(
            f"{path}: RoPE scaling {scaling!r} is not supported; 'linear' and none are"
        )
    linear = {"rope_type": "linear", "factor": _own_field(path, "rope.scaling.factor", 1.0)}
    largest = sizes["num_layers"] == GEMMA3_27B
    scalar = sizes["embed_dim"] // sizes["num_heads"] if largest else head_dim
    config = {
        "num_hidden_layers": sizes["num_layers"],
        "hidden_size": sizes["embed_dim"],
        "intermediate_size": sizes["mlp_dim"],
        "num_attention_heads": sizes["num_heads"],
        "num_key_value_heads": sizes["num_kv_heads"],
        "head_dim": head_dim,
        "vocab_size": sizes["vocab_size"],
        "max_position_embeddings": sizes["context_length"],
        "rms_norm_eps": sizes["norm_eps"],
        "tie_word_embeddings": sizes["tied_embeddings"],
        "sliding_window": _own_field(path, "attention.sliding_window"),
        "rope_theta": float(_own_field(path, "rope.freq_base", 1e6)),
        "rope_local_base_freq": float(_own_field(path, "rope.freq_base_swa", 1e4)),
        "rope_scaling": linear if scaling == "linear" else None,
        "query_pre_attn_scalar": scalar,
        "final_logit_softcapping": _own_field(path, "final_logit_softcapping", None),
    }
    pattern = _own_field(path, "attention.sliding_window_pattern", gemma3.PATTERN)
    if isinstance(pattern, list):  # which layers have a window
        kinds = {True: "sliding_attention", False: "full_attention"}
        config["layer_types"] = [kinds[bool(slides)] for slides in pattern]
    else:
        config["sliding_window_pattern"] = pattern
    return gemma3.read_text(ConfigJson(path, config))


READERS = {"llama": _read_llama, "gemma3": _read_gemma3}


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer and chat template that the file carries."""
    model, pre = _field(path, "tokenizer.ggml.model"), _field(path, "tokenizer.ggml.pre", "default")
    if model == "gpt2" and pre in PRE_TOKENIZERS:
        return _read_byte_level(path, pre)
    # Where the header does not say it, llama.cpp puts the space.
    if model == "llama" and not _field(path, "tokenizer.ggml.add_space_prefix", True):
        return _read_sentencepiece(path)
    raise InputError(
        f"{path}: tokenizer {model!r} with pre-tokenizer {pre!r} is not supported; expected 'gpt2' "
        f"with one of {sorted(PRE_TOKENIZERS)}, or 'llama' with add_space_prefix false"
    )


def _read_byte_level(path: Path, pre: str) -> Tokenizer:
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
        template_tokens=_template_tokens(path, tokens),
        identity=hashlib.sha256("\0".join([pre, template, *tokens, *merges]).encode()).hexdigest(),
    )


def _read_sentencepiece(path: Path) -> Tokenizer:
    names = ("tokens", "scores", "token_type")
    tokens, scores, types = (_field(path, f"tokenizer.ggml.{name}") for name in names)
    bpe = sentencepiece.tokenizer(tokens, scores, types)
    named = _template_tokens(path, tokens)
    if _field(path, "tokenizer.ggml.add_bos_token", True):
        bos = named["bos_token"]
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $0", special_tokens=[(bos, tokens.index(bos))]
        )
    template = _field(path, "tokenizer.chat_template", "")  # models without chats have none
    return tokenizer_json.separated(
        path, bpe, json.loads(bpe.to_str()), named, {"default": template}
    )


def _template_tokens(path: Path, tokens: Sequence[str]) -> dict[str, str]:
    return {
        f"{name}_token": tokens[_field(path, f"tokenizer.ggml.{name}_token_id")]
        for name in ("bos", "eos")
    }


def open_weights(path: Path) -> Reader:
    """A reader of slices; a quantised tensor is dequantised whole for each slice."""
    architecture, tensors = read_architecture(path), _tensors(path)
    known = {_tensor_name((name,), None) for name in OUTSIDE}
    for layer in range(architecture.num_layers):
        names = (*PROJECTIONS, *architecture.norm_sizes)
        known |= {_tensor_name(("blocks", name), layer) for name in names}
    for name in sorted(tensors.keys() - known):  # without it, it would be another model
        raise InputError(f"{path}: tensor {name!r} is not supported; use another model")
    tied = _tensor_name(("head",), None)  # where it is not there
    for name in sorted(known - tensors.keys() - {tied}):
        raise InputError(f"{path}: tensor {name!r} is missing")
    permuted = ("q", "k") if model_type(path) == "llama" else ()

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        name = _tensor_name(leaf, layer)
        tensor = tensors[name]
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        check_finite(weight, name, path)
        if leaf[-1] != "kernel":
            if architecture.one_plus_norm and (leaf[-1] == "scale" or leaf == ("norm",)):
                weight = weight - 1  # the file has what a norm scales by
            return weight[index]
        if leaf[1] in permuted:
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
