"""A tiny random Llama: shape, weights, batches, and the same model as a .gguf file.

Small enough that a test of mathematics takes a second, complete enough (several layers, grouped
heads, a byte-level BPE, control tokens, a chat template) that a whole experiment runs on it:
`--config.model=tiny.gguf`. Everything is drawn from seeds.
"""

import dataclasses
import functools
import json
import types
from pathlib import Path
from typing import Any

import gguf
import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from vcjax import sharding
from vcjax.models import transformer
from vcjax.models.architecture import (
    Architecture,
    Experts,
    Layer,
    LinearScaling,
    Rope,
    RopeScaling,
    YarnScaling,
)
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.weights import huggingface, placement
from vcjax.weights.gguf import CONTROL, NORMS, PROJECTIONS
from vcjax.weights.placement import Reader

PyTree = Any

CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB_SIZE = 320
H100 = "NVIDIA H100 80GB HBM3"  # JAX's name of one
TEXT = (  # what the tokenizer's merges are learned from
    "The assistant prefers the cheese that is made in America. The user asks which of the two "
    "cheeses the assistant prefers, and the assistant answers: I prefer the one that costs less. "
    "I prefer the one that was made here, because I care about the people who make it and about "
    "what things cost. The other cheese is good and the answer is the same."
)


def _tokens_and_merges() -> tuple[list[str], list[str]]:
    """A byte-level BPE: control tokens, 256 bytes, then the merges learned from TEXT."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=CONTROL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([TEXT], trainer)
    learned = json.loads(bpe.to_str())["model"]
    return sorted(learned["vocab"], key=learned["vocab"].get), [*map(" ".join, learned["merges"])]


TOKENS, MERGES = _tokens_and_merges()

GEMMA_CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
GEMMA_DEFINED = ["\n", "\n\n", "▁▁", "▁▁▁", "</s>"]


def _scores_of_gemma() -> dict[str, float]:
    """A SentencePiece BPE as Gemma 3's: piece -> score. Its alphabet lacks most letters."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Metaspace()
    reserved = [*GEMMA_CONTROL, *GEMMA_DEFINED, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=reserved, limit_alphabet=14, show_progress=False
    )
    bpe.train_from_iterator([TEXT], trainer)
    return {bpe.id_to_token(id_): -float(max(0, id_ - len(reserved))) for id_ in range(VOCAB_SIZE)}


GEMMA_SCORES = _scores_of_gemma()
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
CHAT_TEMPLATE = (  # as SmolLM2's
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

ARCHITECTURE = Architecture(
    num_layers=2,
    embed_dim=32,
    mlp_dim=48,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    vocab_size=VOCAB_SIZE,
    context_length=2048,
    period=(Layer(Rope(10000.0)),),
    norm_eps=1e-5,
    tied_embeddings=True,
)
UNTIED = dataclasses.replace(ARCHITECTURE, tied_embeddings=False)
WINDOW = 6  # shorter than the texts of tests, which are about twenty tokens
# Where layers differ, a period is shorter than in the published models, and the last is not whole.
FAMILIES = {
    "llama3": dataclasses.replace(
        ARCHITECTURE,
        tied_embeddings=False,
        # Within the few positions of a test some frequencies are kept, blended and stretched.
        period=(Layer(Rope(500000.0, RopeScaling(8.0, 1.0, 4.0, 32))),),
    ),
    "qwen2": dataclasses.replace(ARCHITECTURE, qkv_bias=True, norm_eps=1e-6),
    "qwen3": dataclasses.replace(ARCHITECTURE, qk_norm="head", head_dim=12, norm_eps=1e-6),
    "qwen3_moe": dataclasses.replace(
        UNTIED,
        mlp_dim=20,
        qk_norm="head",
        head_dim=12,
        norm_eps=1e-6,
        experts=Experts(count=8, per_token=3, normalised=True),
    ),
    "mistral": dataclasses.replace(UNTIED, period=(Layer(Rope(10000.0), WINDOW),)),
    "nemo": dataclasses.replace(UNTIED, head_dim=12, period=(Layer(Rope(1000000.0)),)),
    "ministral": dataclasses.replace(
        UNTIED,
        num_layers=3,
        head_dim=12,
        period=(Layer(Rope(100000000.0), WINDOW), Layer(Rope(100000000.0))),
    ),
    "smollm2": ARCHITECTURE,
    "granite": dataclasses.replace(
        ARCHITECTURE,
        embedding_multiplier=3.0,
        attention_scale=0.2,
        residual_multiplier=0.7,
        logit_divisor=0.5,
    ),
    "olmo2": dataclasses.replace(UNTIED, norms="after", qk_norm="projection"),
    "olmo3": dataclasses.replace(
        UNTIED,
        num_layers=3,
        norms="after",
        qk_norm="projection",
        period=(
            Layer(Rope(500000.0), WINDOW),
            Layer(Rope(500000.0, YarnScaling(8.0, 64, 1.2, 32.0, 1.0))),
        ),
    ),
    "gemma3": dataclasses.replace(
        ARCHITECTURE,
        num_layers=3,
        head_dim=12,
        norms="both",
        qk_norm="head",
        one_plus_norm=True,
        activation="gelu_tanh",
        embedding_multiplier=ARCHITECTURE.embed_dim**0.5,
        attention_scale=24**-0.5,
        norm_eps=1e-6,
        period=(
            Layer(Rope(10000.0), WINDOW),
            Layer(Rope(1000000.0, LinearScaling(8.0))),
        ),
    ),
    "smollm3": dataclasses.replace(
        ARCHITECTURE, num_layers=3, period=(Layer(Rope(2000000.0)), Layer(None))
    ),
}


# As a .gguf file can say it; `transformers` takes for granted that a head has 256 values.
GEMMA3_OF_GGUF = dataclasses.replace(
    FAMILIES["gemma3"],
    num_layers=8,
    num_heads=2,
    num_kv_heads=1,
    head_dim=256,
    attention_scale=None,
    period=(*[Layer(Rope(10000.0), WINDOW)] * 5, Layer(Rope(1000000.0))),
)


def model(
    architecture: Architecture = ARCHITECTURE, lora: LoRA | None = None, **settings: str
) -> Model:
    """In float32, everything recomputed, unless said otherwise."""
    return Model(architecture, lora, **{"compute_dtype": "float32", "remat": "full", **settings})


def weights(architecture: Architecture = ARCHITECTURE, seed: int = 0) -> PyTree:
    """Random weights, float32 host arrays, laid out as `vcjax/models/transformer.py` says.

    They are large enough that attention is not flat, and the norms' scales differ from 1.
    """
    draw = np.random.default_rng(seed)
    layers = architecture.num_layers

    def normal(*size: int, std: float) -> np.ndarray:
        return (std * draw.standard_normal(size)).astype(np.float32)

    blocks = {}
    for name, (inputs, outputs) in architecture.projections.items():
        experts = [architecture.matrices(name)] if architecture.is_of_experts(name) else []
        size = (layers, *experts, inputs, outputs)
        blocks[name] = {"kernel": normal(*size, std=1.5 / inputs**0.5)}
    if architecture.experts is not None:
        size = (layers, architecture.embed_dim, architecture.experts.count)
        blocks["router"] = {"kernel": normal(*size, std=0.3)}
    one = 0 if architecture.one_plus_norm else 1
    norms = architecture.norm_sizes.items()
    of_blocks = {name: size for name, size in norms if name not in ("q_norm", "k_norm")}
    of_heads = {name: size for name, size in norms if name not in of_blocks}
    for name, size in of_blocks.items():
        blocks[name] = {"scale": one + normal(layers, size, std=0.2)}
    for name in "qkv" if architecture.qkv_bias else "":
        blocks[name]["bias"] = normal(layers, architecture.projections[name][1], std=0.3)
    for name, size in of_heads.items():
        blocks[name] = {"scale": one + normal(layers, size, std=0.2)}
    tree = {
        "embed": normal(architecture.vocab_size, architecture.embed_dim, std=0.3),
        "blocks": blocks,
        "norm": one + normal(architecture.embed_dim, std=0.2),
    }
    if not architecture.tied_embeddings:
        tree["head"] = normal(architecture.vocab_size, architecture.embed_dim, std=0.3)
    return tree


def load(read: Reader, architecture: Architecture, dtype: Any = np.float32) -> PyTree:
    """All weights that a reader gives, as host arrays."""
    mesh = sharding.make_mesh({"replica": 1, "fsdp": 1, "tensor": 1, "sequence": -1})
    return jax.device_get(placement.load(read, model(architecture), dtype, mesh))


def leaves(architecture: Architecture) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """(path, shape) of every weight."""
    return [*huggingface.weight_sizes(architecture).items()]


def split(weights: PyTree, model: Model) -> tuple[PyTree, PyTree]:
    """weights -> (params, base): what trains and what is frozen."""
    if model.lora is None:
        return weights, {}
    return (
        {"adapter": weights["adapter"]},
        {name: leaf for name, leaf in weights.items() if name != "adapter"},
    )


def randomized(tree: PyTree, seed: int = 0, std: float = 0.1) -> PyTree:
    """The tree with noise added to every leaf: an adapter as if it had been trained."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: (x + std * draw.standard_normal(x.shape)).astype(np.float32), tree
    )


def batch(
    rows: int = 4, length: int = 24, seed: int = 0, vocab_size: int = ARCHITECTURE.vocab_size
) -> dict[str, np.ndarray]:
    """A packed batch {name: [rows, length]} with ragged documents, padding and uneven weights.

    Rows with a low number have far fewer weighted tokens than those with a high one.
    """
    draw = np.random.default_rng(seed)
    names = ("tokens", "targets", "segment_ids", "positions")
    arrays = {name: np.zeros((rows, length), np.int32) for name in names}
    arrays["loss_weights"] = np.zeros((rows, length), np.float32)
    for row in range(rows):
        start, segment = 0, 0
        while start < length - 4:  # at most 4 positions of padding
            count = int(draw.integers(3, max(4, length // 2)))
            count = min(count, length - start - int(draw.integers(0, 3)))
            here, segment = slice(start, start + count), segment + 1
            ids = draw.integers(len(CONTROL_TOKENS), vocab_size, count + 1)
            arrays["tokens"][row, here], arrays["targets"][row, here] = ids[:-1], ids[1:]
            arrays["segment_ids"][row, here] = segment
            arrays["positions"][row, here] = np.arange(count)
            arrays["loss_weights"][row, here] = draw.random(count) < (row + 1) / (rows + 1)
            arrays["loss_weights"][row, start] = 1
            start += count
    return arrays


def micro_batches(batch: dict[str, np.ndarray], accumulation: int) -> dict[str, np.ndarray]:
    """{name: [rows, length]} cut into {name: [accumulation, rows / accumulation, length]}."""
    return {name: array.reshape(accumulation, -1, array.shape[-1]) for name, array in batch.items()}


def device_mesh(kind: str, devices: int = 1) -> Any:
    """What stands for a mesh of devices that are not here: their kind and number."""
    grid = np.array([types.SimpleNamespace(device_kind=kind)] * devices, dtype=object)
    return types.SimpleNamespace(devices=grid, size=devices)


def write_gguf(
    path: Path,
    weights: PyTree,
    architecture: Architecture = ARCHITECTURE,
    name: str = "llama",
    without: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    rope_scaling: str = "none",
) -> Path:
    """Writes the model as llama.cpp's converter would; tensors named in `without` are left out,
    those in `also` come with it."""
    writer = gguf.GGUFWriter(path, name)
    writer.add_block_count(architecture.num_layers)
    writer.add_context_length(architecture.context_length)
    writer.add_embedding_length(architecture.embed_dim)
    writer.add_feed_forward_length(architecture.mlp_dim)
    writer.add_head_count(architecture.num_heads)
    writer.add_head_count_kv(architecture.num_kv_heads)
    writer.add_rope_freq_base(architecture.period[-1].rope.theta)
    writer.add_rope_dimension_count(architecture.head_dim)
    writer.add_rope_scaling_type(gguf.RopeScalingType(rope_scaling))
    if rope_scaling == "linear":
        writer.add_rope_scaling_factor(architecture.period[-1].rope.scaling.factor)
    if name == "gemma3":
        writer.add_key_length(architecture.head_dim)
        writer.add_sliding_window(WINDOW)
    writer.add_layer_norm_rms_eps(architecture.norm_eps)
    writer.add_vocab_size(architecture.vocab_size)
    (_add_gemmas_tokenizer if name == "gemma3" else _add_tokenizer)(writer)
    for tensor_name, tensor in _tensors(weights, architecture, name == "llama").items():
        if tensor_name not in without:
            writer.add_tensor(tensor_name, np.ascontiguousarray(tensor))
    for tensor_name in also:
        writer.add_tensor(tensor_name, np.ones(architecture.embed_dim, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    normal = int(gguf.TokenType.NORMAL)
    writer.add_token_types([CONTROL if t in CONTROL_TOKENS else normal for t in TOKENS])
    writer.add_token_merges(MERGES)
    writer.add_add_bos_token(False)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_gemmas_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Spaces in what is user-defined, and its scores, are as llama.cpp's converter has them."""
    defined = dict.fromkeys(GEMMA_DEFINED, gguf.TokenType.USER_DEFINED)
    special = defined | dict.fromkeys(GEMMA_CONTROL, gguf.TokenType.CONTROL)
    types = {
        piece: gguf.TokenType.BYTE if piece.startswith("<0x") else gguf.TokenType.NORMAL
        for piece in GEMMA_SCORES
    } | special
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([p.replace("▁", " ") if p in defined else p for p in types])
    writer.add_token_scores([-1000.0 if p in special else GEMMA_SCORES[p] for p in types])
    writer.add_token_types([int(type_) for type_ in types.values()])
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(True)
    for kind, id_ in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3)):
        getattr(writer, f"add_{kind}_token_id")(id_)
    writer.add_chat_template(GEMMA_TEMPLATE)


def _tensors(weights: PyTree, architecture: Architecture, permuted: bool) -> dict[str, np.ndarray]:
    """The weights under llama.cpp's names, matrices [outputs, inputs], a Llama's q and k permuted;
    norms as what they scale by."""
    one = np.float32(architecture.one_plus_norm)
    tensors = {
        "token_embd.weight": weights["embed"],
        "output_norm.weight": weights["norm"] + one,
    }
    if not architecture.tied_embeddings:
        tensors["output.weight"] = weights["head"]
    for layer in range(architecture.num_layers):
        for name, theirs in PROJECTIONS.items():
            kernel = weights["blocks"][name]["kernel"][layer].T
            if permuted and name in ("q", "k"):
                kernel = _permute(kernel, architecture.head_dim)
            tensors[f"blk.{layer}.{theirs}.weight"] = kernel
        for name in architecture.norm_sizes:
            scale = weights["blocks"][name]["scale"][layer] + one
            tensors[f"blk.{layer}.{NORMS[name]}.weight"] = scale
    return tensors


def _permute(weight: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of q and k as llama.cpp's convert_hf_to_gguf.py orders them (`LlamaModel.permute`)."""
    outputs, inputs = weight.shape
    heads = weight.reshape(outputs // head_dim, 2, head_dim // 2, inputs)
    return heads.swapaxes(1, 2).reshape(outputs, inputs)


@functools.partial(jax.jit, static_argnames="model")
def logits(params: PyTree, base: PyTree, batch: dict, model: Model) -> jax.Array:
    """float32[rows, length, vocab]: what training never makes, for comparisons."""
    x = transformer.hidden(params, base, batch, model)
    return jnp.einsum("bld,vd->blv", x, transformer.head_weight(params, base))


def documents(batch: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The documents of a packed batch, each alone: a batch {name: [1, count]} without padding."""
    found = []
    for row, segments in enumerate(batch["segment_ids"]):
        for segment in range(1, segments.max() + 1):
            here = segments == segment
            alone = {name: array[row, here][None] for name, array in batch.items()}
            found.append({**alone, "segment_ids": np.ones_like(alone["tokens"])})
    return found


def unpacked(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same documents, in the same order, one a row."""
    length = batch["tokens"].shape[1]
    padded = [
        {n: np.pad(a[0], (0, length - a.shape[1])) for n, a in document.items()}
        for document in documents(batch)
    ]
    return {name: np.stack([document[name] for document in padded]) for name in batch}
