"""Attention inside documents against a plain masked softmax, on one device and on several."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models import attention, kernels

LENGTH = 512
WINDOW = 150  # of tokens; it begins and ends inside blocks
MESHES = {
    "one": dict(replica=1, fsdp=1, tensor=1, sequence=1),
    "heads": dict(replica=1, fsdp=2, tensor=2, sequence=1),
    "queries": dict(replica=1, fsdp=1, tensor=2, sequence=2),
}


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process with four devices."""
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, __file__], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SPLASH = [f"splash, {mesh}" for mesh in MESHES]


@pytest.mark.parametrize("case", ["xla", *SPLASH, *(f"{x}, window" for x in ("xla", *SPLASH))])
def test_values_and_gradients_are_those_of_plain_attention(measured, case):
    assert max(measured[case]) < 5e-5


def test_the_comparison_sees_a_document_that_looks_into_another(measured):
    assert min(measured["one document"]) > 1e-2


def test_the_comparison_sees_a_token_beyond_the_window(measured):
    assert min(measured["a longer window"]) > 1e-3


def test_a_window_that_no_row_exceeds_changes_no_program():
    q, k, v = (jnp.ones((1, 2, *group, 24, 8)) for group in ((3,), (), ()))
    ids = jnp.ones((1, 24), jnp.int32)
    with_window = lambda window: str(  # noqa: E731
        jax.make_jaxpr(lambda *x: kernels.attend_in_documents(*x, "xla", window=window))(
            q, k, v, ids
        )
    )
    assert with_window(24) == with_window(None) != with_window(23)


@pytest.mark.parametrize("window", [None, 1, WINDOW, LENGTH])
def test_texts_that_are_only_read_get_the_same(monkeypatch, window):
    monkeypatch.setattr(kernels, "READ_BLOCK", 16)  # so that later blocks are larger
    keys = jax.random.split(jax.random.key(0), 3)
    q, k, v = (
        jax.random.normal(key, (2, 2, *group, 300, 8))
        for key, group in zip(keys, ((3,), (), ()), strict=True)
    )
    read = jax.jit(functools.partial(kernels.attend_in_texts, kernel="xla", window=window))
    in_documents = functools.partial(kernels.attend_in_documents, kernel="xla", window=window)
    plain = jax.jit(in_documents)(q, k, v, jnp.ones((2, 300), jnp.int32))
    np.testing.assert_allclose(read(q, k, v), plain, atol=2e-6)


def test_blocks_of_other_documents_are_skipped(measured):
    """Of four blocks of queries and keys each, those ahead and those of other documents."""
    causal = np.tril(np.ones((4, 4), int))
    meets = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]])
    # Blocks hold documents 1, 1 and 2, 2 and 2: only the first and the later ones do not meet.
    np.testing.assert_array_equal(np.array(measured["blocks"]) > 0, (causal * meets) > 0)


@pytest.mark.parametrize(
    ("device", "head_dim", "compute_dtype", "kernel"),
    [
        (dict(platform="cpu"), 64, "bfloat16", "xla"),
        (dict(platform="tpu"), 128, "float32", "splash"),
        (dict(platform="tpu"), 64, "bfloat16", "xla"),
        (dict(platform="gpu", compute_capability="8.0"), 128, "bfloat16", "cudnn"),
        (dict(platform="gpu", compute_capability="9.0"), 128, "bfloat16", "packed"),
        (dict(platform="gpu", compute_capability="10.0"), 128, "bfloat16", "packed"),
        (dict(platform="gpu", compute_capability="9.0"), 128, "float32", "xla"),
        (dict(platform="tpu"), 256, "bfloat16", "splash"),
        (dict(platform="gpu", compute_capability="8.0"), 256, "bfloat16", "xla"),
        (dict(platform="gpu", compute_capability="9.0"), 256, "bfloat16", "packed"),
    ],
)
def test_a_device_gets_its_kernel(device, head_dim, compute_dtype, kernel):
    assert kernels.best_kernel(SimpleNamespace(**device), head_dim, compute_dtype) == kernel


def test_stages_with_other_numbers_of_documents_share_programs():
    assert {kernels.static_documents("xla", most) for most in (1, 2, 9)} == {0}
    assert [kernels.static_documents("packed", most) for most in (1, 4, 5)] == [4, 4, 8]


def test_a_program_for_a_gpu_holds_the_kernel_that_knows_documents(monkeypatch):
    """Translated here as far as it goes without a GPU: JAX has accepted all operands."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91900)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda needed: True)
    q = jax.ShapeDtypeStruct((2, 2, 3, LENGTH, 64), jnp.bfloat16)
    k = jax.ShapeDtypeStruct((2, 2, LENGTH, 64), jnp.bfloat16)

    def program(kernel):
        attend = functools.partial(kernels.attend_in_documents, kernel=kernel, max_documents=8)
        loss = lambda *args: attend(*args).astype(jnp.float32).sum()  # noqa: E731
        traced = jax.jit(jax.grad(loss, (0, 1, 2))).trace(q, k, k, documents())
        return traced.lower(lowering_platforms=("cuda",)).as_text()

    packed, masked = program("packed"), program("cudnn")
    assert {"fmhaSoftmax(", "fmhaSoftmaxBackward("} <= {*re.findall(r"fmha\w+\(", packed)}
    assert "fmhaScaleBiasSoftmaxBackward(" in masked
    assert f"{LENGTH}x{LENGTH}x" in masked
    assert f"{LENGTH}x{LENGTH}x" not in packed


def test_cudnn_is_told_where_each_document_of_a_row_lies(monkeypatch):
    """A stand-in for its kernel, which needs a GPU, goes by what its documentation promises."""
    monkeypatch.setattr(cudnn, "dot_product_attention", by_offsets)
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, 2, 3, LENGTH, 8))
    k, v = (jax.random.normal(key, (2, 2, LENGTH, 8)) for key in keys[1:])
    ids = documents()
    found = kernels.attend_in_documents(q, k, v, ids, "packed", max_documents=4)
    real = (ids > 0)[:, None, None, :, None]
    np.testing.assert_allclose(found, jnp.where(real, plain(q, k, v, ids), 0), atol=2e-6)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="a kernel of a GPU")
@pytest.mark.parametrize("head_dim", [128, 256])
@pytest.mark.parametrize("window", [None, WINDOW])
@pytest.mark.parametrize("most", [0, 4])
def test_a_gpu_computes_what_plain_attention_does(most, window, head_dim):
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, 2, 2, LENGTH, head_dim), jnp.bfloat16)
    k, v = (jax.random.normal(key, (2, 2, LENGTH, head_dim), jnp.bfloat16) for key in keys[1:])
    attend = functools.partial(
        kernels.attend_in_documents, kernel="packed", max_documents=most, window=window
    )
    expected = functools.partial(plain, window=window)
    assert max(difference(attend, expected, (q, k, v))) < 0.02  # of bfloat16


def test_a_length_that_the_kernel_cannot_cut_is_refused():
    with pytest.raises(InputError, match=r"^config.recipe.length: rows of 300 tokens[^\n]*$"):
        kernels._splash_kernel(1, 300, 1, interpret=True)


# --- In a process with four devices


def documents():
    ids = np.zeros((2, LENGTH), np.int32)
    ids[0, :100], ids[0, 100:300], ids[0, 300:] = 1, 2, 3
    ids[1, :130], ids[1, 130:400] = 1, 2  # then padding
    return jnp.asarray(ids)


def difference(attend, reference, operands):
    """Relative, of the value and of each gradient, over tokens that are not padding."""
    real = (documents() > 0)[:, None, None, :, None]
    weights = jax.random.normal(jax.random.key(9), operands[0].shape) * real

    def measure(function):
        loss = lambda *args: (function(*args, documents()) * weights).sum()  # noqa: E731
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*operands)

    found, expected = jax.tree.leaves(measure(attend)), jax.tree.leaves(measure(reference))
    return [
        float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in zip(found, expected, strict=True)
    ]


def by_offsets(q, k, v, *, q_seqlen, kv_seqlen, q_offsets, kv_offsets, scale, mask_type):
    """Heads last. What lies outside documents stays as it was: not a number."""
    assert mask_type is cudnn.MaskType.PADDING_CAUSAL and k.shape == q.shape
    assert q_offsets.shape == (len(q), q_seqlen.shape[1] + 1)
    np.testing.assert_array_equal(q_seqlen, kv_seqlen)
    np.testing.assert_array_equal(q_offsets, kv_offsets)
    out = np.full(q.shape, np.nan, np.float32)
    for row, (starts, lengths) in enumerate(zip(q_offsets, q_seqlen, strict=True)):
        for start, length in zip(starts[:-1], lengths, strict=True):
            if length >= 0:
                here = slice(int(start), int(start + length))
                scores = scale * np.einsum("qnh,snh->nqs", q[row, here], k[row, here])
                scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
                p = np.asarray(jax.nn.softmax(scores))
                out[row, here] = np.einsum("nqs,snh->qnh", p, v[row, here])
    return jnp.asarray(out)


def plain(q, k, v, ids, window=None):
    return attention.attend(q, k, v, attention.visible_in_documents(ids, window))


def main():
    kernels.BLOCK = 256  # several blocks a row
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, 2, 2, LENGTH, 128))
    k, v = (jax.random.normal(key, (2, 2, LENGTH, 128)) for key in keys[1:])

    windowed = functools.partial(plain, window=WINDOW)

    def splash(q, k, v, ids, window=None):
        return kernels._splash(q, k, v, ids, window, interpret=True)

    results = {"xla": difference(kernels._blocks, plain, (q, k, v))}
    results["xla, window"] = difference(
        functools.partial(kernels._blocks, window=WINDOW), windowed, (q, k, v)
    )
    results["one document"] = difference(
        lambda q, k, v, ids: plain(q, k, v, jnp.ones_like(ids)), plain, (q, k, v)
    )
    results["a longer window"] = difference(
        functools.partial(plain, window=WINDOW + 1), windowed, (q, k, v)
    )
    for name, sizes in MESHES.items():
        count = int(np.prod(list(sizes.values())))
        with jax.set_mesh(sharding.make_mesh(sizes, jax.devices()[:count])):
            kernels.BLOCK = 256  # several blocks a row
            results[f"splash, {name}"] = difference(splash, plain, (q, k, v))
            kernels.BLOCK = 128  # so that a window leaves blocks out
            results[f"splash, {name}, window"] = difference(
                functools.partial(splash, window=WINDOW), windowed, (q, k, v)
            )
    kernels.BLOCK = 128
    ids = jnp.asarray([1] * 192 + [2] * 320, jnp.int32)
    kernel = kernels._splash_kernel(1, LENGTH, 1, interpret=True)
    pairs = kernels.splash.SegmentIds(ids, ids)
    within = kernels._skip_other_documents(kernel, pairs)
    results["blocks"] = within.fwd_mask_info.block_mask[0].tolist()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
