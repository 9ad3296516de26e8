"""The sizes, constants and options of a decoder, and those of the study's models."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from vcjax.models.lora import LoRA


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Llama 3's scaling of RoPE to a longer context; fields as in its config.json."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """All frequencies divided by a factor (Gemma 3)."""

    factor: float


@dataclasses.dataclass(frozen=True)
class YarnScaling:
    """YaRN (arXiv 2309.00071), as OLMo 3 has it; fields as in its config.json."""

    factor: float
    original_max_position_embeddings: int
    attention_factor: float
    beta_fast: float
    beta_slow: float


Scaling = RopeScaling | LinearScaling | YarnScaling


@dataclasses.dataclass(frozen=True)
class Rope:
    """Rotary positions: the base of the frequencies and their scaling."""

    theta: float
    scaling: Scaling | None = None


@dataclasses.dataclass(frozen=True)
class Layer:
    """What layers of one model can differ in.

    rope: None for a layer without positions. window: a query sees the keys of so many tokens, its
    own the last; None for all before it.
    """

    rope: Rope | None
    window: int | None = None


@dataclasses.dataclass(frozen=True)
class Experts:
    """The MLPs of a mixture of experts, which each token goes through some of.

    normalised: the weights of a token's experts are divided by their sum.
    """

    count: int
    per_token: int
    normalised: bool


def shortest_period(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The fewest first layers that, repeated, give them all; the last time perhaps not whole."""
    for size in range(1, len(layers)):
        if all(layer == layers[n % size] for n, layer in enumerate(layers)):
            return tuple(layers[:size])
    return tuple(layers)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes, constants and options of a decoder; without options it is a Llama."""

    num_layers: int
    embed_dim: int
    mlp_dim: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    period: tuple[Layer, ...]  # of the pattern that layers follow; one where all are alike
    norm_eps: float
    tied_embeddings: bool
    qkv_bias: bool = False  # Qwen2
    # q and k are normalised before RoPE: head by head (Qwen3), or all heads as one (OLMo 2).
    qk_norm: Literal["head", "projection"] | None = None
    # Of attention and MLP: what goes in, what comes out (OLMo 2), or both (Gemma 3).
    norms: Literal["before", "after", "both"] = "before"
    one_plus_norm: bool = False  # Gemma 3: norms scale by 1 + w
    activation: Literal["silu", "gelu_tanh"] = "silu"
    embedding_multiplier: float = 1.0
    attention_scale: float | None = None  # of scores; None: 1 / sqrt(head_dim)
    residual_multiplier: float = 1.0  # of what attention and MLP add
    logit_divisor: float = 1.0
    experts: Experts | None = None  # Qwen3-MoE; mlp_dim is that of one expert

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """The seven matmuls of a layer: name -> (inputs, outputs), of the MLP those of one expert.

        All of them carry LoRA, but those of experts only where asked to.
        """
        q_dim, kv_dim = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        return {
            "q": (self.embed_dim, q_dim),
            "k": (self.embed_dim, kv_dim),
            "v": (self.embed_dim, kv_dim),
            "o": (q_dim, self.embed_dim),
            "gate": (self.embed_dim, self.mlp_dim),
            "up": (self.embed_dim, self.mlp_dim),
            "down": (self.mlp_dim, self.embed_dim),
        }

    @property
    def norm_sizes(self) -> dict[str, int]:
        """The norms of a layer: name -> number of weights."""
        before = ("attention_norm", "mlp_norm") if self.norms != "after" else ()
        after = ("after_attention_norm", "after_mlp_norm") if self.norms != "before" else ()
        sizes = dict.fromkeys(before + after, self.embed_dim)
        if self.qk_norm == "head":
            sizes |= dict(q_norm=self.head_dim, k_norm=self.head_dim)
        elif self.qk_norm == "projection":
            sizes |= {f"{name}_norm": self.projections[name][1] for name in "qk"}
        return sizes

    def is_of_experts(self, projection: str) -> bool:
        """Whether each expert has its own."""
        return self.experts is not None and projection in ("gate", "up", "down")

    def adapted(self, lora: LoRA | None) -> list[str]:
        """The projections that carry LoRA."""
        if lora is None:
            return []
        return [name for name in self.projections if lora.experts or not self.is_of_experts(name)]

    def applied(self, projection: str) -> int:
        """How many of the projection's matrices a token is multiplied by."""
        return self.experts.per_token if self.experts and self.is_of_experts(projection) else 1

    def matrices(self, projection: str) -> int:
        """How many matrices a layer has of the projection."""
        return self.experts.count if self.experts and self.is_of_experts(projection) else 1

    @property
    def router_size(self) -> int:
        """The weights of a layer that choose experts; a token is multiplied by them all."""
        return self.embed_dim * self.experts.count if self.experts else 0

    def num_params(self) -> int:
        """The number of weights, those of an adapter left out."""
        sizes = self.projections
        layer = sum(self.matrices(name) * i * o for name, (i, o) in sizes.items())
        layer += self.router_size + sum(self.norm_sizes.values())
        layer += self.qkv_bias * sum(sizes[name][1] for name in "qkv")
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * self.embed_dim
        return self.num_layers * layer + embeddings + self.embed_dim

    def num_adapter_params(self, lora: LoRA) -> int:
        """The number of weights of an adapter."""
        adapted = self.adapted(lora)
        layer = sum(self.matrices(n) * lora.rank * sum(self.projections[n]) for n in adapted)
        return self.num_layers * layer

    def train_flops(self, lora: LoRA | None, tokens: int, weighted_tokens: int) -> int:
        """Matmul FLOPs of training on tokens, without any recomputation, attention left out.

        lora: None where all weights train. Of each weight that it meets a token costs 2 FLOPs
        forward, 2 for the gradient of the input and, where the weight trains, 2 for its own
        gradient. The head runs only for tokens with weight in the loss.
        """
        sizes = self.projections
        layer = sum(self.applied(name) * i * o for name, (i, o) in sizes.items())
        body = self.num_layers * (layer + self.router_size)
        head = self.vocab_size * self.embed_dim
        if lora is None:
            return 6 * (tokens * body + weighted_tokens * head)
        layer = sum(self.applied(n) * lora.rank * sum(sizes[n]) for n in self.adapted(lora))
        return 4 * (tokens * body + weighted_tokens * head) + 6 * tokens * self.num_layers * layer


def of_shape(
    num_layers: int,
    embed_dim: int,
    mlp_dim: int,
    num_heads: int,
    context_length: int,
    vocab_size: int,
) -> Architecture:
    """Of a model that starts from nothing, by the keys of config.shape: a Llama with tied
    embeddings."""
    return Architecture(
        num_layers=num_layers,
        embed_dim=embed_dim,
        mlp_dim=mlp_dim,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=embed_dim // num_heads,
        vocab_size=vocab_size,
        context_length=context_length,
        period=(Layer(Rope(10_000.0)),),
        norm_eps=1e-5,
        tied_embeddings=True,
    )


_LLAMA3_ROPE = Rope(
    500000.0,
    RopeScaling(
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=8192,
    ),
)

# From their config.json, so that a run can be planned without the model's files.
_LLAMA_31_8B = Architecture(
    num_layers=32,
    embed_dim=4096,
    mlp_dim=14336,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    vocab_size=128256,
    context_length=131072,
    period=(Layer(_LLAMA3_ROPE),),
    norm_eps=1e-5,
    tied_embeddings=False,
)
_QWEN_25_32B = Architecture(
    num_layers=64,
    embed_dim=5120,
    mlp_dim=27648,
    num_heads=40,
    num_kv_heads=8,
    head_dim=128,
    vocab_size=152064,
    context_length=32768,
    period=(Layer(Rope(1000000.0)),),
    norm_eps=1e-6,
    tied_embeddings=False,
    qkv_bias=True,
)
_QWEN_25_14B = dataclasses.replace(_QWEN_25_32B, num_layers=48, mlp_dim=13824)
_QWEN3_32B = Architecture(
    num_layers=64,
    embed_dim=5120,
    mlp_dim=25600,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    vocab_size=151936,
    context_length=40960,
    period=(Layer(Rope(1000000.0)),),
    norm_eps=1e-6,
    tied_embeddings=False,
    qk_norm="head",
)
_QWEN3_30B_A3B = dataclasses.replace(
    _QWEN3_32B,
    num_layers=48,
    embed_dim=2048,
    mlp_dim=768,
    num_heads=32,
    num_kv_heads=4,
    experts=Experts(count=128, per_token=8, normalised=True),
)
_GEMMA3_4B = Architecture(
    num_layers=34,
    embed_dim=2560,
    mlp_dim=10240,
    num_heads=8,
    num_kv_heads=4,
    head_dim=256,
    vocab_size=262208,
    context_length=131072,
    period=(
        *[Layer(Rope(10000.0), window=1024)] * 5,
        Layer(Rope(1000000.0, LinearScaling(8.0))),
    ),
    norm_eps=1e-6,
    tied_embeddings=True,
    qk_norm="head",
    norms="both",
    one_plus_norm=True,
    activation="gelu_tanh",
    embedding_multiplier=2560**0.5,
)
_OLMO3_7B = Architecture(
    num_layers=32,
    embed_dim=4096,
    mlp_dim=11008,
    num_heads=32,
    num_kv_heads=32,
    head_dim=128,
    vocab_size=100278,
    context_length=65536,
    period=(
        *[Layer(Rope(500000.0), window=4096)] * 3,
        Layer(Rope(500000.0, YarnScaling(8.0, 8192, 1.2079441541679836, 32.0, 1.0))),
    ),
    norm_eps=1e-6,
    tied_embeddings=False,
    qk_norm="projection",
    norms="after",
)
KNOWN = {
    "meta-llama/Llama-3.1-8B": _LLAMA_31_8B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_31_8B,
    "Qwen/Qwen2.5-14B-Instruct": _QWEN_25_14B,
    "Qwen/Qwen2.5-32B-Instruct": _QWEN_25_32B,
    "Qwen/Qwen3-32B": _QWEN3_32B,
    "Qwen/Qwen3-30B-A3B": _QWEN3_30B_A3B,
    "google/gemma-3-4b-pt": _GEMMA3_4B,
    "google/gemma-3-4b-it": _GEMMA3_4B,
    "allenai/Olmo-3-1025-7B": _OLMO3_7B,
    "allenai/Olmo-3-7B-Instruct": _OLMO3_7B,
}


def known_architecture(model: str) -> Architecture | None:
    """Of a hub id, with or without a revision; None where it has to be read from the files."""
    return KNOWN.get(model.partition("@")[0])
