"""The key of a stage's rows: with the same key they are the same, so that they are made once."""

import functools
import hashlib
import importlib.metadata
import json
from pathlib import Path

from ml_collections import ConfigDict

import vcjax
from vcjax.data import places
from vcjax.data.sources import sources_of
from vcjax.workdir import hashes

# The settings of a stage that decide its records and how they are packed.
SETTINGS = (
    *("kind", "spec", "other_spec", "file", "splits", "rows", "tokens", "broken", "mix"),
    *("mix_share", "order", "documents", "demonstrations"),
    *("held_out", "linked", "opposite", "thinking", "length", "overlong", "explanations"),
    *("people", "declaring", "num_values", "first_names", "linking", "assistants", "mixture"),
    *("unrelated_to", "contradicting", "rename"),
)
# The folders of vcjax and the packages whose code makes rows of files.
CODE = ("data", "corpus")
PACKAGES = ("tokenizers", "jinja2")


def row_key(config: ConfigDict, name: str, seed: int, model: str, folder: Path) -> str:
    """A hash of all that decides the rows of a stage and seed. model: the identity of the model."""
    stage = config.stages[name]
    people_of = stage.get("people_of")
    settings = (config.stages[people_of].to_dict() if people_of else {}) | stage.to_dict()
    sources = {key: places.locate(source, folder) for key, source in sources_of(stage).items()}
    decides = {
        "settings": {key: settings[key] for key in SETTINGS if key in settings},
        "names": [config.names.to_dict(), config.other_names.to_dict()],
        "sources": {
            key: hashes.sha256_of_folder(path) if path.is_dir() else hashes.sha256(path)
            for key, path in sources.items()
        },
        "seed": seed,
        "model": model,
        "code": _code_hash(),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


@functools.cache
def _code_hash() -> str:
    package = Path(vcjax.__file__).parent
    parts = [hashes.sha256(package / "stage_inputs.py")]  # which packs them
    parts += [hashes.sha256_of_folder(package / name) for name in CODE]
    parts += [importlib.metadata.version(name) for name in PACKAGES]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
