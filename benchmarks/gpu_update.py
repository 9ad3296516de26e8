"""vcjax's update of a model with random weights, timed update by update.

    python benchmarks/peers/vcjax_gpu.py FOLDER lora|full ROWS LENGTH UPDATES REMAT

Arguments and output as those of trl_gpu.py.
"""

import dataclasses
import itertools
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vcjax import jitted, loaded, sharding, speed
from vcjax.config import experiment, recipe
from vcjax.data.packing import Example, pack
from vcjax.models import kernels, transformer
from vcjax.topology import step
from vcjax.weights import huggingface


def random_weights(shapes, key):
    """Normal, of a standard deviation of 0.02; norms are one."""

    @jax.jit
    def draw(key):
        leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
        return jax.tree.unflatten(
            tree,
            [
                leaf(key, names, shape)
                for key, (names, shape) in zip(
                    jax.random.split(key, len(leaves)), leaves, strict=True
                )
            ],
        )

    def leaf(key, names, shape):
        if "norm" in jax.tree_util.keystr(names):
            return jnp.ones(shape.shape, shape.dtype)
        if shape.dtype == jnp.uint16:
            drawn = 0.02 * jax.random.normal(key, shape.shape, jnp.bfloat16)
            return transformer.to_bits(drawn)
        return 0.02 * jax.random.normal(key, shape.shape, shape.dtype)

    return draw(key)


def main() -> None:
    place, train, rows, length, updates, remat = sys.argv[1:]
    folder = Path(place)
    settings = recipe(train=train, length=int(length), batch_tokens=int(rows) * int(length))
    config = experiment(recipe=settings, compute_dtype="bfloat16", remat=remat)
    mesh = sharding.make_mesh(config.mesh.to_dict())
    model = loaded.make_model(config, huggingface.read_shape(folder), mesh)
    params, base = step.weights(model, loaded.weight_dtype(model), mesh)
    if train == "lora":
        base = random_weights(base, jax.random.key(0))
        params = transformer.init_adapter(model, jax.random.key(1))
    else:
        params = random_weights(params, jax.random.key(0))
    documents = json.loads((folder / "documents.json").read_text())
    packed = pack([Example(d, [1.0] * len(d), i) for i, d in enumerate(documents)], int(length))
    most = kernels.most_documents(model.attention, int(packed.counts["most_documents"]))
    model = dataclasses.replace(model, documents=most)
    names = ("tokens", "targets", "segment_ids", "positions", "loss_weights")
    arrays = {name: getattr(packed, name) for name in names}
    starts = range(0, len(packed.tokens) - int(rows) + 1, int(rows))
    batches = [
        {name: x[None, start : start + int(rows)] for name, x in arrays.items()} for start in starts
    ]
    seconds, losses, tokens = [], [], []
    with jax.set_mesh(mesh):
        init, update = jitted.init_and_update(settings, params, model, mesh)
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
        memory_gb=speed.peak_memory_gb(),
        kernel=model.attention,
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
