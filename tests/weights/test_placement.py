"""Weights onto eight devices of one process or of two: each reads its slices once, and no more is
in memory than must be."""

import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vcjax import sharding
from vcjax.weights import placement

MEGABYTE = 2**20

# In processes of their own: eight devices in all, and a memory that nothing else has used.
LARGE = """
import dataclasses, json, sys, threading, time
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np, tiny

count, process, port = map(int, sys.argv[3:])
if count > 1:
    jax.distributed.initialize(f"localhost:{port}", count, process)
from vcjax import sharding
from vcjax.weights import huggingface, placement

def anonymous():
    lines = open("/proc/self/status").read().split()
    return int(lines[lines.index("RssAnon:") + 1]) * 1024

folder = sys.argv[1]
architecture = dataclasses.replace(tiny.ARCHITECTURE, **json.loads(sys.argv[2]))
mesh = sharding.make_mesh({"replica": 1, "fsdp": 4, "tensor": 2, "sequence": 1})
model = tiny.model(architecture)
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
        for leaf in jax.tree.leaves(weights)
        for x in (s.data for s in leaf.addressable_shards if s.replica_id == 0)
    ),
}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(folder, sizes, bytes of all weights, of one layer, of norms, sum): 100 MB in bfloat16."""
    from ml_dtypes import bfloat16
    from safetensors.numpy import save_file

    from vcjax.weights import huggingface

    sizes = {"num_layers": 16, "embed_dim": 512, "mlp_dim": 1536, "num_heads": 8, "head_dim": 64}
    sizes |= {"num_kv_heads": 4, "vocab_size": 8192}
    architecture = tiny.dataclasses.replace(tiny.ARCHITECTURE, **sizes)
    draw = np.random.default_rng(0)
    tensors = {}
    for leaf, size in tiny.leaves(architecture):
        for layer in range(architecture.num_layers) if leaf[0] == "blocks" else [None]:
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
        "num_hidden_layers": architecture.num_layers,
        "hidden_size": architecture.embed_dim,
        "intermediate_size": architecture.mlp_dim,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_kv_heads,
        "vocab_size": architecture.vocab_size,
        "max_position_embeddings": architecture.context_length,
        "rope_theta": architecture.period[0].rope.theta,
        "rms_norm_eps": architecture.norm_eps,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    layer = sum(t.nbytes for name, t in tensors.items() if ".layers.0." in name)
    norms = sum(t.nbytes for name, t in tensors.items() if "norm" in name)
    total = sum(t.astype(np.float64).sum() for t in tensors.values())
    return folder, sizes, sum(t.nbytes for t in tensors.values()), layer, norms, total


def load(folder, sizes, count):
    """What each of `count` processes prints, with eight devices in all."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", LARGE, str(folder), json.dumps(sizes), str(count)]
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(8 // count),
        "PYTHONPATH": os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]),
    }
    started = [
        subprocess.Popen(
            [*command, str(process), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(count)
    ]
    try:
        said = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, said, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def test_eight_devices_read_each_slice_once_and_hold_little_more(large):
    folder, sizes, size, layer, _, total = large
    assert size > 90 * MEGABYTE
    [found] = load(folder, sizes, 1)
    assert found["devices"] == 8
    assert found["q_shard"] == [16, 512 // 4, 512 // 2]
    assert found["read"] == size
    assert found["sum"] == total
    # Norms are replicated and float32: a few kilobytes more than in the file.
    assert found["peak"] < size + 2 * layer


def test_each_of_two_processes_reads_and_holds_its_half(large):
    """And the norms, which are replicated."""
    folder, sizes, size, layer, norms, total = large
    half = (size - norms) // 2 + norms
    found = load(folder, sizes, 2)
    assert [process["devices"] for process in found] == [8, 8]
    assert [process["read"] for process in found] == [half, half]
    assert sum(process["sum"] for process in found) == total
    assert all(process["peak"] < half + 2 * layer for process in found)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_that_were_trained_are_frozen_as_those_of_a_file(tiny_weights, dtype):
    def read(leaf, layer, index):
        array = tiny_weights
        for name in leaf:
            array = array[name]
        return np.asarray(array if layer is None else array[layer])[index]

    mesh = sharding.make_mesh({"replica": 1, "fsdp": -1, "tensor": 1, "sequence": 1})
    loaded = placement.load(read, tiny.model(), jnp.dtype(dtype), mesh)
    frozen = placement.frozen(jax.tree.map(jnp.asarray, tiny_weights), jnp.dtype(dtype))
    assert jax.tree.map(lambda x: x.dtype, frozen) == jax.tree.map(lambda x: x.dtype, loaded)
    jax.tree.map(np.testing.assert_array_equal, frozen, loaded)
