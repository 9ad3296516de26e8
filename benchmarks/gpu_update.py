"""vcjax's update of a model with random weights on one GPU, timed update by update.

    python benchmarks/gpu_update.py FOLDER lora|full ROWS LENGTH UPDATES REMAT

Arguments and last line as those of peers/trl_gpu.py.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vcjax import sharding
from vcjax.config import experiment, recipe
from vcjax.data.packing import Example, pack
from vcjax.data.rows import FIELDS
from vcjax.models import kernels, transformer
from vcjax.models.bits import to_bits
from vcjax.topology import step
from vcjax.training import compiled_step, loaded_model, throughput
from vcjax.weights import huggingface


def random_weights(shapes, key):
    """Of a standard deviation of 0.02, norms of one; a frozen base's as bits."""

    def draw(key, path, like):
        if "norm" in jax.tree_util.keystr(path):
            return jnp.ones(like.shape, like.dtype)
        dtype = jnp.bfloat16 if like.dtype == jnp.uint16 else like.dtype
        drawn = 0.02 * jax.random.normal(key, like.shape, dtype)
        return to_bits(drawn) if like.dtype == jnp.uint16 else drawn

    @jax.jit
    def draw_all(key):
        leaves, tree = jax.tree.flatten_with_path(shapes)
        keys = jax.random.split(key, len(leaves))
        return tree.unflatten([draw(k, *leaf) for k, leaf in zip(keys, leaves, strict=True)])

    return draw_all(key)


def main() -> None:
    place, train, rows, length, updates, remat = sys.argv[1:]
    folder = Path(place)
    settings = recipe(train=train, length=int(length), batch_tokens=int(rows) * int(length))
    config = experiment(recipe=settings, compute_dtype="bfloat16", remat=remat)
    documents = json.loads((folder / "documents.json").read_text())
    packed = pack([Example(d, [1.0] * len(d), i) for i, d in enumerate(documents)], int(length))

    mesh = sharding.make_mesh(config.mesh.to_dict())
    model = loaded_model.make_model(config, huggingface.read_architecture(folder), mesh, settings)
    most = kernels.static_documents(model.attention, int(packed.counts["most_documents"]))
    params, base = step.weights(model, loaded_model.weight_dtype(model), mesh)
    if train == "lora":
        base = random_weights(base, jax.random.key(0))
        params = transformer.init_adapter(model, jax.random.key(1))
    else:
        params = random_weights(params, jax.random.key(0))

    batches = [
        {name: getattr(packed, name)[None, i : i + int(rows)] for name in FIELDS}
        for i in range(0, len(packed.tokens) - int(rows) + 1, int(rows))
    ]
    seconds, losses, tokens = [], [], []
    with jax.set_mesh(mesh):
        init, update = compiled_step.init_and_update(settings, model, mesh, most)
        state = init(params)
        for batch in itertools.islice(itertools.cycle(batches), int(updates)):
            began = time.perf_counter()
            placed = sharding.put_batch(batch, mesh)
            state, metrics = update(state, base, placed, np.float32(settings.lr))
            losses.append(float(metrics["loss"]))
            seconds.append(time.perf_counter() - began)
            tokens.append(int((batch["segment_ids"] > 0).sum()))
    found = dict(
        seconds=seconds,
        tokens=float(np.mean(tokens)),
        losses=losses,
        memory_gb=throughput.peak_memory_gb(),
        kernel=model.attention,
        device=mesh.devices.flat[0].device_kind,
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
