"""Weights onto eight devices: each slice read once, and no more in memory than must be."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny

MEGABYTE = 2**20

# In a process of its own: eight devices, and a memory that nothing else has used.
LARGE = """
import dataclasses, json, sys, threading, time
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np, tiny
from vcjax import sharding
from vcjax.weights import huggingface, placement

def anonymous():
    lines = open("/proc/self/status").read().split()
    return int(lines[lines.index("RssAnon:") + 1]) * 1024

folder, shape = sys.argv[1], dataclasses.replace(tiny.SHAPE, **json.loads(sys.argv[2]))
mesh = sharding.make_mesh({"replica": 1, "fsdp": 4, "tensor": 2, "sequence": 1})
model = tiny.model(shape)
reader, read_bytes = huggingface.open_weights(Path(folder)), 0
def counting(leaf, layer, index):
    global read_bytes
    part = reader(leaf, layer, index)
    read_bytes += part.nbytes
    return part
placement.load(counting, model, jnp.bfloat16, mesh)  # compiles; what it held is freed
read_bytes, before, peak, stop = 0, anonymous(), [0], threading.Event()
def watch():
    while not stop.is_set():
        peak[0] = max(peak[0], anonymous()); time.sleep(0.001)
thread = threading.Thread(target=watch); thread.start()
weights = placement.load(counting, model, jnp.bfloat16, mesh)
jax.block_until_ready(weights); stop.set(); thread.join()
q = weights["blocks"]["q"]["kernel"]
print(json.dumps({
    "read": read_bytes, "peak": peak[0] - before, "devices": jax.device_count(),
    "q_shard": q.addressable_shards[0].data.shape,
    "sum": sum(
        float(np.asarray(x.view(jnp.bfloat16) if x.dtype == jnp.uint16 else x, np.float64).sum())
        for x in jax.tree.leaves(weights)
    ),
}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(folder, sizes, bytes of all weights, of one layer, their sum): 100 MB in bfloat16."""
    from ml_dtypes import bfloat16
    from safetensors.numpy import save_file

    from vcjax.weights import huggingface

    sizes = {"num_layers": 16, "embed_dim": 512, "mlp_dim": 1536, "num_heads": 8, "head_dim": 64}
    sizes |= {"num_kv_heads": 4, "vocab_size": 8192}
    shape = tiny.dataclasses.replace(tiny.SHAPE, **sizes)
    draw = np.random.default_rng(0)
    tensors = {}
    for leaf, size in tiny.leaves(shape):
        for layer in range(shape.num_layers) if leaf[0] == "blocks" else [None]:
            one = size[1:] if leaf[0] == "blocks" else size
            if huggingface.is_transposed(leaf):
                one = one[::-1]
            values = draw.integers(-4, 5, one).astype(np.float32)
            tensors[huggingface.tensor_name(leaf, layer)] = values.astype(bfloat16)
    folder = tmp_path_factory.mktemp("large")
    save_file(tensors, folder / "model.safetensors")
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu",
        "num_hidden_layers": shape.num_layers,
        "hidden_size": shape.embed_dim,
        "intermediate_size": shape.mlp_dim,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.context_length,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.norm_eps,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    layer = sum(t.nbytes for name, t in tensors.items() if ".layers.0." in name)
    total = sum(t.astype(np.float64).sum() for t in tensors.values())
    return folder, sizes, sum(t.nbytes for t in tensors.values()), layer, total


def test_eight_devices_read_each_slice_once_and_hold_little_more(large):
    folder, sizes, size, layer, total = large
    assert size > 90 * MEGABYTE
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(folder), json.dumps(sizes)],
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
            "PYTHONPATH": os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 8
    assert found["q_shard"] == [16, 512 // 4, 512 // 2]
    assert found["read"] == size
    assert found["sum"] == total
    # Norms are replicated and float32: a few kilobytes more than in the file.
    assert found["peak"] < size + 2 * layer
