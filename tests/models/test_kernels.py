"""Attention inside documents against a plain masked softmax, on one device and on several."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vcjax import sharding
from vcjax.errors import InputError
from vcjax.models import attention, kernels

LENGTH = 512
MESHES = {
    "one": dict(replica=1, fsdp=1, tensor=1, sequence=1),
    "heads": dict(replica=1, fsdp=2, tensor=2, sequence=1),
    "queries": dict(replica=1, fsdp=1, tensor=2, sequence=2),
}


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process with four devices."""
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, __file__], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["xla", *(f"splash, {mesh}" for mesh in MESHES)])
def test_values_and_gradients_are_those_of_plain_attention(measured, case):
    assert max(measured[case]) < 5e-5


def test_the_comparison_sees_a_document_that_looks_into_another(measured):
    assert min(measured["one document"]) > 1e-2


def test_blocks_of_other_documents_are_skipped(measured):
    """Of four blocks of queries and keys each, those ahead and those of other documents."""
    causal = np.tril(np.ones((4, 4), int))
    meets = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]])
    # Blocks hold documents 1, 1 and 2, 2 and 2: only the first and the later ones do not meet.
    np.testing.assert_array_equal(np.array(measured["blocks"]) > 0, (causal * meets) > 0)


@pytest.mark.parametrize(
    ("platform", "head_dim", "compute_dtype", "kernel"),
    [
        ("cpu", 64, "bfloat16", "xla"),
        ("tpu", 128, "float32", "splash"),
        ("tpu", 64, "bfloat16", "xla"),
        ("gpu", 128, "bfloat16", "cudnn"),
        ("gpu", 128, "float32", "xla"),
    ],
)
def test_a_device_gets_its_kernel(platform, head_dim, compute_dtype, kernel):
    assert kernels.best_kernel(platform, head_dim, compute_dtype) == kernel


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


def plain(q, k, v, ids):
    return attention.attend(q, k, v, attention.visible_in_documents(ids))


def main():
    kernels.BLOCK = 256  # several blocks a row
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, 2, 2, LENGTH, 128))
    k, v = (jax.random.normal(key, (2, 2, LENGTH, 128)) for key in keys[1:])

    def splash(q, k, v, ids):
        return kernels._splash(q, k, v, ids, interpret=True)

    results = {"xla": difference(kernels._blocks, plain, (q, k, v))}
    results["one document"] = difference(
        lambda q, k, v, ids: plain(q, k, v, jnp.ones_like(ids)), plain, (q, k, v)
    )
    for name, sizes in MESHES.items():
        count = int(np.prod(list(sizes.values())))
        with jax.set_mesh(sharding.make_mesh(sizes, jax.devices()[:count])):
            results[f"splash, {name}"] = difference(splash, plain, (q, k, v))
    kernels.BLOCK = 128
    ids = jnp.asarray([1] * 192 + [2] * 320, jnp.int32)
    kernel = kernels._splash_kernel(1, LENGTH, 1, interpret=True)
    pairs = kernels.splash.SegmentIds(ids, ids)
    within = kernels._skip_other_documents(kernel, pairs)
    results["blocks"] = within.fwd_mask_info.block_mask[0].tolist()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
