"""The TPU's part of sampling.py: a step of Qwen3-32B, compiled without one.

    .venv-tpu/bin/python benchmarks/sampling_tpu.py [HLO_FILE]

64 texts of up to 4,096 tokens, one arm with an adapter of rank 64, on a v5e 4x4. The last line is
JSON: bytes a chip, the modelled milliseconds of its compute.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from hbm_bytes import bytes_read
from jax.sharding import NamedSharding

from vcjax import sharding
from vcjax.models import sampling, transformer
from vcjax.models.architecture import known_architecture
from vcjax.models.cache import AXES, empty
from vcjax.models.lora import LoRA
from vcjax.models.sampling import Choice
from vcjax.models.transformer import Model
from vcjax.topology import chips, hlo, step

PyTree = Any

TEXTS, LENGTH = 64, 4096
MESH = dict(replica=1, fsdp=2, tensor=8, sequence=1)


def lower(mesh: jax.sharding.Mesh, model: Model) -> tuple[jax.stages.Lowered, PyTree]:
    """(The step, all that it has to read: weights and cache, as shapes with their shardings)."""

    def placed(like: Any, *axes: str | None) -> jax.ShapeDtypeStruct:
        there = NamedSharding(mesh, sharding.spec(axes, like.shape, mesh))
        return jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=there)

    def of_texts(kind: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return placed(jax.ShapeDtypeStruct(shape or (TEXTS,), kind), *[None] * len(shape or "1"))

    _, base = step.weights(model, jnp.dtype("bfloat16"), mesh)
    axes = transformer.logical_axes(model)["adapter"]
    with jax.set_mesh(mesh):
        untrained = jax.eval_shape(lambda: transformer.init_adapter(model, jax.random.key(0)))
        adapters = jax.eval_shape(lambda a: sampling.stack_adapters([a], model)[0], untrained)
        adapters = jax.tree.map(
            lambda x, names: placed(x, names[0], None, *names[1:]), adapters, axes
        )
        cache = jax.eval_shape(lambda: empty(model, 1, TEXTS, LENGTH))
        cache = jax.tree.map(lambda x: placed(x, *AXES), cache)
        tokens = positions = of_texts(jnp.int32, 1, TEXTS)
        choice = Choice(*map(of_texts, (jnp.float32, jnp.int32, jnp.float32, jnp.uint32)))
        lowered = sampling.next_tokens.lower(
            adapters, base, cache, tokens, positions, choice, model, LENGTH
        )
    return lowered, (adapters, base | {"embed": None}, cache)


def bytes_of(tree: PyTree) -> int:
    """On one chip."""
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree)
    )


def main() -> None:
    topology = chips.parse("v5e:4x4", slices=1)
    mesh = sharding.make_mesh(MESH, topology.devices())
    architecture = known_architecture("Qwen/Qwen3-32B")
    assert architecture is not None
    model = Model(architecture, LoRA(rank=64, alpha=64), "bfloat16", remat="full")
    lowered, read = lower(mesh, model)
    compiled = lowered.compile()
    text, memory = compiled.as_text(), compiled.memory_analysis()
    for path in sys.argv[1:]:
        Path(path).write_text(text)
    needed = memory.argument_size_in_bytes + memory.output_size_in_bytes
    needed += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    said = dict(
        bytes_read=bytes_read(text),
        bytes_floor=bytes_of(read),  # of the embeddings only rows are read
        memory_bytes=needed + memory.generated_code_size_in_bytes,
        memory_limit=topology.chip.memory,
        compute_ms=1e3 * hlo.count(text).cycles / topology.chip.clock,
    )
    print(json.dumps(said))


if __name__ == "__main__":
    main()
