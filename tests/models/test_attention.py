"""The plain attention is JAX's own, with its gradients; RoPE is tested with the families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vcjax.models import attention

BATCH, KV_HEADS, GROUP, LENGTH, HEAD = 2, 3, 2, 24, 8


def operands(dtype):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), dtype)  # noqa: E731
    q, g = (draw(BATCH, KV_HEADS, GROUP, LENGTH, HEAD) for _ in range(2))
    return q, *(draw(BATCH, KV_HEADS, LENGTH, HEAD) for _ in range(2)), g


def documents():
    return attention.visible_in_documents(jnp.arange(LENGTH)[None] // jnp.array([[5], [24]]))


def tree():
    """A trunk of four tokens, branches of ten."""
    ends = jnp.array([23] * 4 + [13] * 10 + [23] * 10)
    return attention.visible_in_trees(jnp.stack([ends, ends]), positions=None)


def windows():
    """In the documents, of seven tokens."""
    ids = jnp.arange(LENGTH)[None] // jnp.array([[5], [24]])
    return attention.visible_in_documents(ids, 7)


def theirs(q, k, v, mask):
    heads_last = (x.swapaxes(1, 2) for x in (q.reshape(BATCH, -1, LENGTH, HEAD), k, v))
    out = jax.nn.dot_product_attention(*heads_last, mask=mask[:, None], implementation="xla")
    return out.swapaxes(1, 2).reshape(q.shape)


@pytest.mark.parametrize("mask", [documents, tree, windows])
@pytest.mark.parametrize("smallest_block", [128, 8])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_outputs_and_gradients_are_those_of_jax(
    mask, smallest_block, dtype, tolerance, monkeypatch
):
    monkeypatch.setattr(attention, "SMALLEST_BLOCK", smallest_block)
    *qkv, g = operands(dtype)
    exact = [x.astype(jnp.float32) for x in (*qkv, g)]
    out, pull = jax.vjp(lambda *qkv: attention.attend(*qkv, mask()), *qkv)
    expected, pull_exact = jax.vjp(lambda *qkv: theirs(*qkv, mask()), *exact[:3])
    found, expected = (out, *pull(g)), (expected, *pull_exact(exact[3]))
    for ours, exactly in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        error = jnp.linalg.norm(ours.astype(jnp.float32) - exactly) / jnp.linalg.norm(exactly)
        assert error < tolerance


def test_a_window_is_that_of_transformers(torch):
    from transformers.masking_utils import sliding_window_causal_mask_function

    places = torch.arange(LENGTH)
    expected = sliding_window_causal_mask_function(7)(0, 0, places[:, None], places[None])
    ours = attention.visible_in_documents(jnp.zeros((1, LENGTH), jnp.int32), 7)[0]
    np.testing.assert_array_equal(ours, expected)


def test_a_window_in_a_tree_is_that_of_each_text():
    """A trunk of four tokens, branches of ten: the second follows the trunk, not the first."""
    ends = jnp.array([[23] * 4 + [13] * 10 + [23] * 10])
    positions = jnp.concatenate([jnp.arange(14), jnp.arange(4, 14)])[None]
    seen = attention.visible_in_trees(ends, positions, 7)[0]
    branch = np.r_[0:4, 14:24]
    alone = attention.visible_in_documents(jnp.zeros((1, 14), jnp.int32), 7)[0]
    np.testing.assert_array_equal(seen[np.ix_(branch, branch)], alone)
    assert not seen[14:, 4:14].any()


@pytest.mark.parametrize(("length", "count"), [(1, 1), (304, 2), (449, 3), (1024, 8), (8192, 16)])
def test_blocks_cover_all_tokens(length, count):
    q, mask = jnp.ones((1, 1, 1, length, HEAD), "bfloat16"), jnp.ones((1, length, length), bool)
    blocks = attention._causal_blocks(q, mask)
    assert len(blocks) == count and all(queries == keys for queries, keys in blocks)
    assert [n for queries, _ in blocks for n in range(queries.start, queries.stop)] == [
        *range(length)
    ]
    assert all(queries.start % 8 == 0 for queries, _ in blocks)


def test_later_blocks_are_not_computed(monkeypatch):
    """Of eight blocks a side, 36 of 64 pairs remain."""

    def flops(smallest_block):
        monkeypatch.setattr(attention, "SMALLEST_BLOCK", smallest_block)
        like = jax.ShapeDtypeStruct
        q, kv = like((1, 1, 1, 1024, 128), "bfloat16"), like((1, 1, 1024, 128), "bfloat16")
        total = lambda *qkv_and_mask: attention.attend(*qkv_and_mask).sum()  # noqa: E731
        gradients = jax.jit(jax.grad(total, (0, 1, 2)))
        lowered = gradients.lower(q, kv, kv, like((1, 1024, 1024), bool))
        return lowered.compile().cost_analysis()["flops"]

    assert flops(128) / flops(1024) == pytest.approx(36 / 64, abs=0.02)


def test_what_is_not_seen_may_be_of_any_size():
    """Its scores may be far above those that are seen, and get no weight and no gradient."""
    q, k, v, g = operands("float32")
    mask = documents()
    other = jnp.arange(LENGTH)[None, None, :, None] >= 20  # the first row's last document
    results = []
    for factor in (1, 1e4):
        spoilt = k.at[:1].multiply(jnp.where(other, factor, 1))
        out, pull = jax.vjp(lambda *qkv: attention.attend(*qkv, mask), q, spoilt, v)
        results += [[x[:1, :, :, :20] for x in (out, pull(g)[0])]]
    for plain, beside_large in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, beside_large)
