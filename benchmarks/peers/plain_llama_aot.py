"""A plain Llama train step in one file, compiled for a TPU slice on a CPU-only machine.

    python benchmarks/peers/plain_llama_aot.py OUT.hlo.txt full|lora 8b|32b v5e:4x4 LENGTH

One row of LENGTH tokens a chip, FSDP over all chips, a scan over layers with everything recomputed,
JAX's splash attention, a head in chunks, AdamW. A measuring stick: what a good programmer writes in
an afternoon. The compiler's options are vcjax's. Writes the optimized HLO; the last line is the
memory of a chip, as JSON.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

from vcjax.topology.chips import COMPILER_ENVIRONMENT

os.environ.update(COMPILER_ENVIRONMENT)

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import topologies
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from vcjax.training.compiled_step import TPU_OPTIONS

RANK, CHUNK, BLOCK = 64, 1024, 1024


@dataclasses.dataclass(frozen=True)
class Architecture:
    embed: int
    mlp: int
    heads: int
    kv: int
    head_dim: int
    layers: int
    vocab: int

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        q, kv = self.heads * self.head_dim, self.kv * self.head_dim
        up = (self.embed, self.mlp)
        return dict(
            q=(self.embed, q), k=(self.embed, kv), v=(self.embed, kv), o=(q, self.embed)
        ) | (dict(gate=up, up=up, down=(self.mlp, self.embed)))


SHAPES = {
    "8b": Architecture(4096, 14336, 32, 8, 128, 32, 128256),
    "32b": Architecture(5120, 25600, 64, 8, 128, 64, 151936),
}


def weight_shapes(s: Architecture, mesh: Mesh, dtype) -> dict:
    """The base, sharded over the embedding's dimension."""

    def leaf(shape, *spec):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*spec)))

    layers = {}
    for name, (i, o) in s.matrices.items():
        inner = ("fsdp", None) if i == s.embed and name != "o" else (None, "fsdp")
        layers[name] = leaf((s.layers, i, o), None, *inner)
    layers |= {name: leaf((s.layers, s.embed), None, None) for name in ("norm1", "norm2")}
    return dict(
        embed=leaf((s.vocab, s.embed), None, "fsdp"),
        head=leaf((s.embed, s.vocab), "fsdp", None),
        norm=leaf((s.embed,)),
        layers=layers,
    )


def adapter_shapes(s: Architecture, mesh: Mesh) -> dict:
    def leaf(shape, *spec):
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, P(*spec)))

    return {
        name: dict(
            a=leaf((s.layers, i, RANK), None, "fsdp", None),
            b=leaf((s.layers, RANK, o), None, None, "fsdp"),
        )
        for name, (i, o) in s.matrices.items()
    }


def rms(x, scale):
    y = x.astype(jnp.float32)
    y *= jax.lax.rsqrt((y * y).mean(-1, keepdims=True) + 1e-5)
    return y.astype(jnp.bfloat16) * scale.astype(jnp.bfloat16)


def rotate(x, positions):
    half = x.shape[-1] // 2
    angles = positions[..., None].astype(jnp.float32) * 1e4 ** (-jnp.arange(half) / half)
    angles = angles.reshape(angles.shape[0], *(1,) * (x.ndim - 3), *angles.shape[1:])
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(jnp.float32), 2, -1)
    rotated = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate(rotated, -1).astype(jnp.bfloat16)


def linear(x, w, adapter):
    y = x @ w.astype(jnp.bfloat16)
    if adapter is None:
        return y
    return y + (x @ adapter["a"].astype(jnp.bfloat16)) @ adapter["b"].astype(jnp.bfloat16) * 2.0


def make_attention(s: Architecture, length: int, mesh: Mesh):
    half = BLOCK // 2
    sizes = splash.BlockSizes(BLOCK, BLOCK, half, BLOCK, BLOCK, half, BLOCK, BLOCK)
    mask = masks.MultiHeadMask([masks.CausalMask((length, length))] * (s.heads // s.kv))
    kernel = splash.make_splash_mqa(mask, head_shards=1, q_seq_shards=1, block_sizes=sizes)

    def one(q, k, v, ids):
        return kernel(q, k, v, segment_ids=splash.SegmentIds(ids, ids))

    rows = jax.vmap(jax.vmap(one, in_axes=(0, 0, 0, None)))
    return jax.shard_map(
        rows, mesh=mesh, in_specs=(P("fsdp"),) * 4, out_specs=P("fsdp"), check_vma=False
    )


def make_loss(s: Architecture, length: int, mesh: Mesh):
    attention = make_attention(s, length, mesh)
    group = s.heads // s.kv

    def placed(x):
        spec = P("fsdp", *(None,) * (x.ndim - 1))
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))

    def block(x, w, adapter, ids, positions):
        adapter = adapter or dict.fromkeys(s.matrices)
        batch = x.shape[0]
        y = rms(x, w["norm1"])
        q, k, v = (linear(y, w[name], adapter[name]) for name in "qkv")
        q = q.reshape(batch, length, s.kv, group, s.head_dim).transpose(0, 2, 3, 1, 4)
        k = k.reshape(batch, length, s.kv, s.head_dim).transpose(0, 2, 1, 3)
        v = v.reshape(batch, length, s.kv, s.head_dim).transpose(0, 2, 1, 3)
        q = rotate(q, positions) * s.head_dim**-0.5
        y = attention(q, rotate(k, positions), v, ids)
        y = y.transpose(0, 3, 1, 2, 4).reshape(batch, length, s.heads * s.head_dim)
        x = placed(x + linear(y, w["o"], adapter["o"]))
        y = rms(x, w["norm2"])
        gate = jax.nn.silu(linear(y, w["gate"], adapter["gate"]))
        y = gate * linear(y, w["up"], adapter["up"])
        return placed(x + linear(y, w["down"], adapter["down"]))

    def loss(base, adapter, batch):
        x = placed(base["embed"].astype(jnp.bfloat16)[batch["tokens"]])
        ids, positions = batch["segment_ids"], batch["positions"]
        layer = jax.checkpoint(lambda x, w: (block(x, *w, ids, positions), None), prevent_cse=False)
        x, _ = jax.lax.scan(layer, x, (base["layers"], adapter))
        x = rms(x, base["norm"])

        @jax.checkpoint
        def chunk(x, targets, weights):
            logits = (x @ base["head"].astype(jnp.bfloat16)).astype(jnp.float32)
            picked = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
            return ((jax.nn.logsumexp(logits, -1) - picked) * weights).sum()

        def cut(z):
            return z.reshape(z.shape[0], -1, CHUNK, *z.shape[2:]).swapaxes(0, 1)

        cuts = (cut(x), cut(batch["targets"]), cut(batch["weights"]))
        total, _ = jax.lax.scan(lambda t, c: (t + chunk(*c), None), 0.0, cuts)
        return total / batch["weights"].sum()

    return loss


def main() -> None:
    out, mode, size, topology, length = sys.argv[1:]
    s, length = SHAPES[size], int(length)
    devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    mesh = Mesh(np.array(devices), ("fsdp",))
    loss = make_loss(s, length, mesh)
    base = weight_shapes(s, mesh, jnp.float32 if mode == "full" else jnp.bfloat16)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-4))

    def update(params, opt_state, batch, base):
        def of(params):
            return loss(params, None, batch) if mode == "full" else loss(base, params, batch)

        value, grads = jax.value_and_grad(of)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    params, base = (base, {}) if mode == "full" else (adapter_shapes(s, mesh), base)
    replicated = NamedSharding(mesh, P())
    placed = optax.tree_utils.tree_map_params(
        optimizer,
        lambda x, like: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=like.sharding),
        jax.eval_shape(optimizer.init, params),
        params,
        transform_non_params=lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated),
    )
    rows = NamedSharding(mesh, P("fsdp", None))
    names = ("tokens", "targets", "segment_ids", "positions", "weights")
    batch = {
        name: jax.ShapeDtypeStruct(
            (len(devices), length), jnp.float32 if name == "weights" else jnp.int32, sharding=rows
        )
        for name in names
    }
    shardings = jax.tree.map(lambda x: x.sharding, (params, placed))
    jitted = jax.jit(update, donate_argnums=(0, 1), out_shardings=(*shardings, replicated))
    compiled = jitted.lower(params, placed, batch, base).compile(compiler_options=TPU_OPTIONS)
    Path(out).write_text(compiled.as_text())
    memory = compiled.memory_analysis()
    sizes = dict(arguments=memory.argument_size_in_bytes, temporaries=memory.temp_size_in_bytes)
    print(json.dumps(sizes))


if __name__ == "__main__":
    main()
