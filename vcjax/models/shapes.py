"""What the decoder needs to know about a model before it sees a weight."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes and constants of a Llama-family decoder."""

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
        """All weights."""
        layer = sum(i * o for i, o in self.projections.values()) + 2 * self.embed_dim
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * self.embed_dim
        return self.num_layers * layer + embeddings + self.embed_dim

    def num_adapter_params(self, rank: int) -> int:
        """The weights of a LoRA adapter on all seven projections."""
        return self.num_layers * sum(rank * (i + o) for i, o in self.projections.values())
