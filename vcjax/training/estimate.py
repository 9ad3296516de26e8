"""What training may reach on this machine, before anything has been trained."""

import time

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vcjax.models.linear import linear
from vcjax.training.throughput import peak_flops

# Training's share,
OF_PEAK = 0.4  # of the devices' peak
OF_MLP = 0.3  # of the speed of an MLP alone (measured: .25 to .3 with AMX, .4 in float32)


def expected_flops(mesh: Mesh, compute_dtype: str) -> float:
    """FLOP/s that training may reach, as `Shape.train_flops` counts them: for a first estimate.

    A share of the peak where that is known, else of what an MLP with adapters reaches here.
    """
    peak = peak_flops(mesh)
    if peak is not None and compute_dtype == "bfloat16":
        return OF_PEAK * peak
    tokens, width, inner, rank = 512, 576, 1536, 64
    sizes = (tokens, width), (width, inner), (inner, width)
    x, up, down = (jnp.full(size, 0.01, compute_dtype) for size in sizes)
    pairs = [
        (jnp.full((inputs, rank), 0.01), jnp.full((rank, outputs), 0.01))
        for inputs, outputs in (up.shape, down.shape)
    ]

    @jax.jit
    @jax.grad
    def gradients(trained, up, down):
        x, pairs = trained
        y = jax.nn.silu(linear(x[None], up, ("embed", "mlp"), pairs[0]).astype(jnp.float32))
        y = linear(y.astype(x.dtype), down, ("mlp", "embed"), pairs[1])
        return y.astype(jnp.float32).sum()

    seconds = []
    for _ in range(30):  # the first one compiles, other work may disturb some
        started = time.perf_counter()
        jax.block_until_ready(gradients((x, pairs), up, down))
        seconds.append(time.perf_counter() - started)
    flops = tokens * (4 * 2 * width * inner + 6 * 2 * rank * (width + inner))
    # Devices of a CPU are threads of the same cores.
    like_this = jax.process_count() if jax.default_backend() == "cpu" else mesh.size
    return OF_MLP * flops / min(seconds) * like_this
