"""Attention inside packed documents: the fastest kernel of each kind of device.

splash   TPU: a Pallas kernel that skips blocks of other documents
packed   GPU from Hopper on: cuDNN's kernel, document by document; not in float32
cudnn    older GPU: the same kernel with a mask of all pairs
xla      any device: blocks of queries, one after the other
"""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel as splash,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_mask as splash_mask,
)
from jax.sharding import NamedSharding, PartitionSpec

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models.attention import attend, visible_in_documents

BLOCK = 1024  # queries, and keys, of one tile
READ_BLOCK = 128  # queries of the smallest block, where texts are only read
LANES = 128  # of a TPU's vector unit: its kernel takes multiples of this as length and head_dim
HOPPER = 9.0  # compute capability
WIDEST = 128  # head_dim of cuDNN's kernel before Hopper, which takes twice that


def best_kernel(device: jax.Device, head_dim: int, compute_dtype: str) -> str:
    """The kernel for a mesh of such devices."""
    if device.platform == "tpu" and head_dim % LANES == 0:
        return "splash"
    if device.platform != "gpu" or compute_dtype != "bfloat16":
        return "xla"
    if float(device.compute_capability) >= HOPPER:
        return "packed" if head_dim <= 2 * WIDEST else "xla"
    return "cudnn" if head_dim <= WIDEST else "xla"


def static_documents(kernel: str, most: int) -> int:
    """The `max_documents` of `attend_in_documents`, for rows of at most `most` documents.

    It is part of the compiled program: rounded up to a multiple of 4, so that stages share a
    program, and 0 for the kernels that do not use it.
    """
    return -(-most // 4) * 4 if kernel == "packed" else 0


def attend_in_documents(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segment_ids: jax.Array,
    kernel: str,
    max_documents: int = 0,
    window: int | None = None,
) -> jax.Array:
    """Causal grouped-query attention inside segments, softmax in float32.

    q: [batch, kv_heads, group, length, head_dim]; k, v: [batch, kv_heads, length, head_dim];
    segment_ids: int32[batch, length], 1, 2, ... along a row, then 0 (padding). max_documents: a
    bound on the documents of a row, without which (0) "packed" runs as "cudnn" does; so it does
    with a window. window: of so many tokens a query sees the keys, its own the last; None: no
    limit. Returns the shape of q; a remat policy can name it "attended".
    """
    if window is not None and window >= segment_ids.shape[1]:
        window = None
    # cuDNN knows windows too, but beside documents they were not tried.
    if kernel == "packed" and max_documents and window is None:
        return _packed(q, k, v, segment_ids, max_documents)
    attend_with = {"splash": _splash, "packed": _cudnn, "cudnn": _cudnn, "xla": _blocks}[kernel]
    return attend_with(q, k, v, segment_ids, window)


def _blocks(q, k, v, segment_ids, window=None):
    """Blocks of queries against all keys; the backward pass computes a block's scores again."""
    length = segment_ids.shape[1]
    if length <= BLOCK:
        return attend(q, k, v, visible_in_documents(segment_ids, window))
    keys = jnp.arange(length)

    @jax.checkpoint
    def block(x):
        queries, ids, positions = x
        mask = (ids[:, :, None] == segment_ids[:, None]) & (positions[:, None] >= keys)
        if window is not None:
            mask &= positions[:, None] - keys < window
        return attend(queries, k, v, mask)

    def cut(x, axis):
        pad = [(0, 0)] * axis + [(0, -length % BLOCK)] + [(0, 0)] * (x.ndim - axis - 1)
        x = jnp.pad(x, pad, constant_values=0)
        x = x.reshape(*x.shape[:axis], -1, BLOCK, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    out = jax.lax.map(block, (cut(q, 3), cut(segment_ids, 1), cut(keys, 0)))
    return jnp.moveaxis(out, 0, 3).reshape(*q.shape[:3], -1, q.shape[4])[:, :, :, :length]


def attend_in_texts(
    q: jax.Array, k: jax.Array, v: jax.Array, kernel: str, window: int | None = None
) -> jax.Array:
    """As `attend_in_documents` with one document a row, where no gradients are needed: with "xla" a
    block of queries meets no later keys, nor any before all its windows."""
    length = q.shape[3]
    if kernel != "xla":
        one_text = jnp.ones((q.shape[0], length), jnp.int32)
        return attend_in_documents(q, k, v, one_text, kernel, window=window)
    places, seen = jnp.arange(length), window or length
    blocks, begin = [], 0
    while begin < length:
        # A 16th of what is before it, or more: so that long texts compile in time.
        end = begin + max(READ_BLOCK, 1 << begin.bit_length() >> 5)
        queries, keys = slice(begin, end), slice(max(begin - seen + 1, 0), end)
        distance = places[queries, None] - places[keys]
        mask = (distance >= 0) & (distance < seen)
        blocks.append(attend(q[..., queries, :], k[:, :, keys], v[:, :, keys], mask[None]))
        begin = end
    return jnp.concatenate(blocks, axis=3)


def _cudnn(q, k, v, segment_ids, window=None):
    mask = visible_in_documents(segment_ids, window)[:, None]
    q_last, k_last, v_last = (_rows_whole(x, "heads") for x in _heads_last(q, k, v))
    out = jax.nn.dot_product_attention(q_last, k_last, v_last, mask=mask, implementation="cudnn")
    out = _rows_whole(out, "heads")
    return checkpoint_name(out.swapaxes(1, 2).reshape(q.shape), "attended")


def _packed(q, k, v, segment_ids, max_documents):
    """Its time grows with the squares of the documents' lengths and with batch x max_documents."""
    # Private, since jax.nn.dot_product_attention takes no documents.
    from jax._src.cudnn import fused_attention_stablehlo as cudnn

    starts, lengths = _bounds(segment_ids, max_documents)
    starts = jnp.pad(starts, ((0, 0), (0, 1)), constant_values=-1)
    # Outside documents the kernel writes nothing: result and gradients hold what was in memory.
    here = (segment_ids > 0)[:, :, None, None]
    q_last, *key_value = (jnp.where(here, x, 0) for x in _heads_last(q, k, v))
    # Some versions of JAX, 0.10.2 too, misplace keys that have fewer heads than queries.
    k_last, v_last = (jnp.repeat(x, q.shape[2], axis=2) for x in key_value)
    out = cudnn.dot_product_attention(
        *(_rows_whole(x, "attended_heads") for x in (q_last, k_last, v_last)),
        q_seqlen=lengths,
        kv_seqlen=lengths,
        q_offsets=starts,
        kv_offsets=starts,
        scale=q.shape[-1] ** -0.5,
        mask_type=cudnn.MaskType.PADDING_CAUSAL,
    )
    out = jnp.where(here, _rows_whole(out, "attended_heads"), 0)
    return checkpoint_name(out.swapaxes(1, 2).reshape(q.shape), "attended")


def _rows_whole(x, heads):
    """x: [batch, length, heads, head_dim]; for cuDNN's kernels the length may not be sharded."""
    return sharding.constrain(x, "batch", None, heads, None)


def _bounds(segment_ids, max_documents):
    """int32[batch, max_documents] each: starts and lengths of segments; -1 where there is none."""
    ids = jnp.where(segment_ids > 0, segment_ids, max_documents + 1)
    borders = (ids[:, :, None] < jnp.arange(1, max_documents + 2)).sum(axis=1)
    lengths = jnp.diff(borders).astype(jnp.int32)
    starts = borders[:, :-1].astype(jnp.int32)
    return jnp.where(lengths > 0, starts, -1), jnp.where(lengths > 0, lengths, -1)


def _heads_last(q, k, v):
    """[batch, length, heads, head_dim] each."""
    return (x.swapaxes(1, 2) for x in (q.reshape(len(q), -1, *q.shape[3:]), k, v))


def _splash(q, k, v, segment_ids, window=None, interpret=False):
    """Each device computes its own rows, heads and (sharded `length`) queries, against all keys."""
    mesh = jax.sharding.get_abstract_mesh()
    q *= jnp.asarray(q.shape[-1] ** -0.5, q.dtype)
    queries = sharding.spec(("batch", "heads", None, "length", None), q.shape, mesh)
    keys = sharding.spec(("batch", "heads", None, None), k.shape, mesh)
    shards = q.shape[3] // NamedSharding(mesh, queries).shard_shape(q.shape)[3]
    kernel = _splash_kernel(q.shape[2], q.shape[3], shards, interpret, window)

    def on_one_device(kernel, q, k, v, query_ids, key_ids):
        def one_row(q, k, v, query_ids, key_ids):
            ids = splash.SegmentIds(query_ids, key_ids)
            within = _skip_other_documents(kernel, ids, compact=window is not None)
            return jax.vmap(lambda q, k, v: within(q, k, v, ids))(q, k, v)

        return jax.vmap(one_row)(q, k, v, query_ids, key_ids)

    masks = NamedSharding(mesh, PartitionSpec(None, queries[3]))
    ids = PartitionSpec(queries[0], queries[3]), PartitionSpec(queries[0], None)
    attend_sharded = jax.shard_map(
        on_one_device,
        mesh=mesh,
        in_specs=(kernel.manual_sharding_spec(masks), queries, keys, keys, *ids),
        out_specs=queries,
        check_vma=False,
    )
    out = attend_sharded(kernel, q, k, v, segment_ids, segment_ids)
    # Without it the gradient is brought into the kernel's layout in float32: twice the bytes.
    return jax.lax.optimization_barrier(out)


def _splash_kernel(
    group: int, length: int, shards: int, interpret: bool, window: int | None = None
):
    """For the `group` query heads of one key head; shards: number that the queries are in."""
    if length % (LANES * shards):
        raise InputError(
            f"config.recipe.length: rows of {length} tokens on {shards} device(s) each; the "
            f"attention of a TPU takes multiples of {LANES} a device"
        )
    q = _largest_block(length // shards, BLOCK)
    kv = _largest_block(length, BLOCK)
    compute = _largest_block(kv, max(BLOCK // 2, LANES))
    sizes = splash.BlockSizes(
        block_q=q,
        block_kv=kv,
        block_kv_compute=compute,
        block_q_dkv=q,
        block_kv_dkv=kv,
        block_kv_dkv_compute=compute,
        block_q_dq=q,
        block_kv_dq=kv,
    )
    size = length, length
    mask = (
        splash_mask.CausalMask(size, shard_count=shards)
        if window is None
        else splash_mask.LocalMask(size, (window - 1, 0), offset=0, shard_count=shards)
    )
    return splash.make_splash_mqa(
        splash_mask.MultiHeadMask([mask] * group),
        head_shards=1,
        q_seq_shards=shards,
        block_sizes=sizes,
        residual_checkpoint_name="attended",
        interpret=interpret,
    )


def _largest_block(length: int, at_most: int) -> int:
    """The largest multiple of LANES that divides the length."""
    return max(n for n in range(LANES, at_most + 1, LANES) if length % n == 0)


def _skip_other_documents(kernel, ids: splash.SegmentIds, compact: bool = False):
    """The kernel of one row, which skips blocks of queries and keys that share no document.

    The static mask leaves out blocks of later keys; this also leaves out blocks that hold other
    documents only. Within the blocks that remain, pairs are masked one by one. compact: the mask's
    grid holds only the blocks that it does not leave out, and `data_next` says which (of keys, or
    for the gradient of keys and values of queries); so it is where there is a window.
    """
    sizes = kernel.kwargs["block_sizes"]
    first_q, last_q = _ends(ids.q, len(ids.q) // sizes.block_q)
    first_kv, last_kv = _ends(ids.kv, len(ids.kv) // sizes.block_kv)
    overlap = (first_q[:, None] <= last_kv) & (first_kv <= last_q[:, None])

    def skip(info, axis):
        here = overlap
        if compact:
            here = jnp.take_along_axis(overlap, info.data_next[0].astype(jnp.int32), axis)
        return info._replace(
            block_mask=jnp.where(here, info.block_mask, 0).astype(info.block_mask.dtype)
        )

    return splash.SplashAttentionKernel(
        skip(kernel.fwd_mask_info, 1),
        skip(kernel.dq_mask_info, 1),
        skip(kernel.dkv_mask_info, 0),
        **kernel.kwargs,
    )


def _ends(ids: jax.Array, blocks: int) -> tuple[jax.Array, jax.Array]:
    """int32[blocks] each: the smallest and the largest segment of each block."""
    ids = ids.reshape(blocks, -1)
    return ids.min(axis=1), ids.max(axis=1)
