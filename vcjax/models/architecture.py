"""The sizes, constants and options of a decoder, and those of the study's models."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Llama 3's scaling of RoPE to a longer context; fields as in its config.json."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes, constants and options of a decoder of the Llama family."""

    num_layers: int
    embed_dim: int
    mlp_dim: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    context_length: int
    rope_theta: float
    norm_eps: float
    tied_embeddings: bool
    rope_scaling: RopeScaling | None = None
    qkv_bias: bool = False  # Qwen2
    qk_norm: bool = False  # Qwen3: q and k are normalised head by head, before RoPE

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """The seven matmuls of a layer: name -> (inputs, outputs). All of them carry LoRA."""
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

    def num_params(self) -> int:
        """The number of weights, those of an adapter left out."""
        sizes = self.projections
        layer = sum(i * o for i, o in sizes.values()) + 2 * self.embed_dim
        layer += self.qkv_bias * sum(sizes[name][1] for name in "qkv")
        layer += self.qk_norm * 2 * self.head_dim
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * self.embed_dim
        return self.num_layers * layer + embeddings + self.embed_dim

    def num_adapter_params(self, rank: int) -> int:
        """The number of weights of a LoRA adapter on all seven projections."""
        return self.num_layers * sum(rank * (i + o) for i, o in self.projections.values())

    def train_flops(self, rank: int | None, tokens: int, weighted_tokens: int) -> int:
        """Matmul FLOPs of training on tokens, without any recomputation, attention left out.

        rank: of the LoRA adapter, None where all weights train. Of each weight a token costs 2
        FLOPs forward, 2 for the gradient of the input and, where the weight trains, 2 for its own
        gradient. The head runs only for tokens with weight in the loss.
        """
        body = self.num_layers * sum(i * o for i, o in self.projections.values())
        head = self.vocab_size * self.embed_dim
        if rank is None:
            return 6 * (tokens * body + weighted_tokens * head)
        adapter = self.num_adapter_params(rank)
        return 4 * (tokens * body + weighted_tokens * head) + 6 * tokens * adapter


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
        rope_theta=10_000.0,
        norm_eps=1e-5,
        tied_embeddings=True,
    )


_LLAMA3_ROPE = RopeScaling(
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
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
    rope_theta=500000.0,
    norm_eps=1e-5,
    tied_embeddings=False,
    rope_scaling=_LLAMA3_ROPE,
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
    rope_theta=1000000.0,
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
    rope_theta=1000000.0,
    norm_eps=1e-6,
    tied_embeddings=False,
    qk_norm=True,
)
KNOWN = {
    "meta-llama/Llama-3.1-8B": _LLAMA_31_8B,
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_31_8B,
    "Qwen/Qwen2.5-14B-Instruct": _QWEN_25_14B,
    "Qwen/Qwen2.5-32B-Instruct": _QWEN_25_32B,
    "Qwen/Qwen3-32B": _QWEN3_32B,
}


def known_architecture(model: str) -> Architecture | None:
    """Of a hub id, with or without a revision; None where it has to be read from the files."""
    return KNOWN.get(model.partition("@")[0])
