"""Attention inside packed documents on one GPU: time and error of what vcjax can take for it.

    python benchmarks/gpu_attention.py

Four rows of 4,096 tokens with documents of some 400, forward and backward, in bfloat16: `packed`,
`cudnn` and `xla` of vcjax/models/kernels.py. Errors are those of the gradients, relative in norm,
against the same in float32. Milliseconds are the best of three rounds. The last line is one JSON
object: every figure with its target and whether it holds.
"""

import functools
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from vcjax.models import kernels

ROWS, LENGTH, HEAD_DIM = 4, 4096, 128
HEADS = {"llama31_8b": (8, 4), "qwen25_1.5b": (2, 6)}  # of keys, and queries of each
FASTER, ERROR = 3.0, 5e-3  # than the mask of every pair, at least; of bfloat16, at most


def documents() -> jax.Array:
    """int32[rows, length]: segment ids; a few tokens of padding at the end."""
    draw = np.random.default_rng(0)
    ids = np.zeros((ROWS, LENGTH), np.int32)
    for row in ids:
        start, document = 0, 1
        while start < LENGTH - 20:
            length = int(np.clip(draw.lognormal(np.log(400), 0.6), 30, LENGTH - start))
            row[start : start + length] = document
            start, document = start + length, document + 1
    return jnp.asarray(ids)


def measure(attend, operands, ids) -> tuple[float, list[np.ndarray]]:
    """(milliseconds, gradients of the operands)."""
    weights = jax.random.normal(jax.random.key(9), operands[0].shape)
    weights *= (ids > 0)[:, None, None, :, None]

    def loss(operands, ids, weights):
        return (attend(*operands, ids).astype(jnp.float32) * weights).sum()

    gradient = jax.jit(jax.grad(loss))
    found = gradient(operands, ids, weights)
    rounds = []
    for _ in range(3):
        jax.block_until_ready(found)
        began = time.perf_counter()
        for _ in range(10):
            found = gradient(operands, ids, weights)
        jax.block_until_ready(found)
        rounds.append((time.perf_counter() - began) * 100)
    return min(rounds), [np.asarray(x, np.float32) for x in found]


def figures_of(name: str, ids: jax.Array) -> dict[str, dict]:
    keys, group = HEADS[name]
    sizes = ((ROWS, keys, group, LENGTH, HEAD_DIM), *2 * ((ROWS, keys, LENGTH, HEAD_DIM),))
    seeds = jax.random.split(jax.random.key(0), 3)
    operands = [jax.random.normal(*pair, jnp.bfloat16) for pair in zip(seeds, sizes, strict=True)]
    exact = [x.astype(jnp.float32) for x in operands]
    most = kernels.static_documents("packed", int(ids.max()))

    def attend(kernel):
        return functools.partial(kernels.attend_in_documents, kernel=kernel, max_documents=most)

    _, expected = measure(attend("xla"), exact, ids)
    milliseconds, errors = {}, {}
    for kernel in ("packed", "cudnn", "xla"):
        milliseconds[kernel], found = measure(attend(kernel), operands, ids)
        errors[kernel] = max(
            float(np.linalg.norm(a - b) / np.linalg.norm(b))
            for a, b in zip(found, expected, strict=True)
        )
        print(f"{name}, {kernel}: {milliseconds[kernel]:.2f} ms, error {errors[kernel]:.1e}")
    faster = milliseconds["cudnn"] / milliseconds["packed"]
    return {
        f"{name}_packed_faster_than_masked": {
            "value": faster,
            "target": f">= {FASTER}",
            "holds": faster >= FASTER,
            "milliseconds": milliseconds,
        },
        f"{name}_error": {
            "value": errors["packed"],
            "target": f"<= {ERROR}",
            "holds": errors["packed"] <= ERROR,
            "of": errors,
        },
    }


def main() -> None:
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}")
    ids, figures = documents(), {}
    for name in HEADS:
        figures |= figures_of(name, ids)
    ok = all(figure["holds"] for figure in figures.values())
    print(json.dumps({"device": device.device_kind, **figures, "ok": ok}))


if __name__ == "__main__":
    main()
