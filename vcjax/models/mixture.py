"""The weights of a block's mixture of experts, in Flax NNX; `experts.py` has the mathematics."""

import jax
import jax.numpy as jnp
from flax import nnx

from vcjax.models import experts
from vcjax.models.architecture import Architecture
from vcjax.models.linear import linear
from vcjax.models.lora import AdapterParam, LoRA, init_a

ROUTER_AXES = ("embed", "router")


class Router(nnx.Module):
    """Chooses the experts of each token: x -> (odds, chosen) of `experts.route`."""

    def __init__(self, architecture: Architecture, rngs: nnx.Rngs):
        assert architecture.experts is not None
        self.settings = architecture.experts
        size = (architecture.embed_dim, self.settings.count)
        self.kernel = nnx.Param(
            nnx.initializers.lecun_normal()(rngs.params(), size), logical=ROUTER_AXES
        )

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = linear(x, self.kernel[...], ROUTER_AXES)
        return experts.route(logits, self.settings.per_token, self.settings.normalised)


class ExpertProjections(nnx.Module):
    """One projection of all experts, each with an adapter of its own where LoRA is on experts."""

    def __init__(self, name: str, architecture: Architecture, lora: LoRA | None, rngs: nnx.Rngs):
        inputs, outputs = architecture.projections[name]
        first, in_axis, out_axis = experts.AXES[name]
        count = architecture.matrices(name)
        init = nnx.initializers.lecun_normal(batch_axis=0)
        self.kernel = nnx.Param(
            init(rngs.params(), (count, inputs, outputs)), logical=(first, in_axis, out_axis)
        )
        self.lora = lora if lora is not None and lora.experts else None
        if self.lora is not None:
            rank = self.lora.rank
            self.a = AdapterParam(
                init_a(rngs.params(), (count, inputs, rank)), logical=(first, in_axis, "rank")
            )
            self.b = AdapterParam(
                jnp.zeros((count, rank, outputs)), logical=(first, "rank", out_axis)
            )

    @property
    def weights(self) -> tuple[jax.Array, ...]:
        """As `experts.Weights` has them."""
        if self.lora is None:
            return (self.kernel[...],)
        return self.kernel[...], self.lora.scale * self.a[...], self.b[...]
