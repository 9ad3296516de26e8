"""Fixtures of all tests, made of `tiny.py` (the tiny model) and `peers.py` (PyTorch)."""

import os

# Before jax is imported: tests compare float32 on the CPU, also where there is an accelerator.
os.environ["JAX_PLATFORMS"] = "cpu"
# Tests compile many small programs and run each a few times: compile fast, whatever the speed.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"

import peers
import pytest
import tiny


@pytest.fixture(scope="session")
def tiny_shape():
    return tiny.SHAPE


@pytest.fixture(scope="session")
def tiny_weights():
    """The tiny model's weights, host arrays; no test changes them."""
    return tiny.weights()


@pytest.fixture(scope="session")
def tiny_gguf(tiny_weights, tmp_path_factory):
    """The tiny model as a file that `--config.model` takes."""
    return tiny.write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", tiny_weights)


@pytest.fixture(scope="session")
def torch():
    """The module; where it is missing the test is skipped, or fails in CI."""
    peers.require_torch()
    import torch

    return torch
