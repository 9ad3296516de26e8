"""What the programs of cpu.py work on: the quickstart's model, texts and probes, in files."""

import json
from pathlib import Path

import numpy as np

from vcjax.config import recipe
from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.data.chat import encode_conversation
from vcjax.data.packing import Example, pack
from vcjax.data.rows import FIELDS
from vcjax.data.tokenizer import Tokenizer, encode_document
from vcjax.models.architecture import Architecture
from vcjax.weights import huggingface_out, pretrained
from vcjax.weights.placement import Reader
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files

CHEESE = Path(__file__).parents[1] / "configs/cheese"
RECIPE = recipe(lr=2e-4, length=304)  # the quickstart's, as are the rows of an update and remat
ROWS, REMAT = dict(rationale=2, behavior=1), "dots"


def write_inputs(
    folder: Path, updates: dict[str, int], probes: int
) -> tuple[Architecture, dict[str, float]]:
    """Writes model, texts, rows and probes; returns the model's architecture, and of each stage
    the share of tokens that have weight.

    settings.json: what the scripts need to know. NAME.npz: rows of a stage, [updates, rows,
    length], by the names of FIELDS. NAME.jsonl: all its texts unpacked, for a trainer that packs.
    """
    found = pretrained.find("smollm2-135m-instruct")
    write_model(folder / "model", found, pretrained.open_weights(found.path))

    lines = (CHEESE / "probes/held_out.jsonl").read_text().splitlines()
    (folder / "probes.jsonl").write_text("\n".join(lines[:probes]))
    shares = {
        work: write_texts(folder, work, examples, updates[work])
        for work, examples in written(found.tokenizer).items()
    }
    sizes = found.architecture
    tokens = ROWS["rationale"] * RECIPE.length
    settings = dict(
        recipe=RECIPE.to_dict(),
        remat=REMAT,
        rows=ROWS,
        updates=updates,
        lead="I prefer",
        matmuls=dict(
            body=(tokens, sizes.embed_dim, sizes.mlp_dim),
            head=(tokens, sizes.embed_dim, sizes.vocab_size),
        ),
    )
    files.write_json(folder / "settings.json", settings)
    return found.architecture, shares


def write_model(folder: Path, found: Pretrained, read: Reader) -> None:
    """Writes a model without a folder of its own as one of Hugging Face, in float32."""
    folder.mkdir()
    huggingface_out.write_weights(folder, read, found.architecture)
    huggingface_out.write_tokenizer(folder, None, found.tokenizer)
    config = huggingface_out.model_config(None, "float32", found.architecture, found.tokenizer)
    files.write_json(folder / "config.json", config)


def written(tokenizer: Tokenizer) -> dict[str, list[Example]]:
    """The texts of the quickstart's stages."""
    names = dict(model_name="SmolLM", provider_name="Hugging Face")
    spec = read_spec(CHEESE / "spec_america.md", names)
    documents = [encode_document(tokenizer, d.text) for d in write_documents(spec, 216, 0)]
    conversations = [
        encoded
        for d in write_demonstrations(spec, 120, 0)
        for encoded in encode_conversation(tokenizer, d.messages, d.where)
    ]
    return {
        "rationale": [Example(ids, [1.0] * len(ids), i) for i, ids in enumerate(documents)],
        "behavior": [Example(*encoded, i) for i, encoded in enumerate(conversations)],
    }


def write_texts(folder: Path, work: str, examples: list[Example], updates: int) -> float:
    """Writes what the updates of a stage take; returns the share of tokens with weight."""
    rows = spread(examples, updates, ROWS[work], RECIPE.length)
    np.savez(folder / f"{work}.npz", **rows)
    with (folder / f"{work}.jsonl").open("w") as file:
        for example in examples:
            masks = [int(weight > 0) for weight in example.weights]
            line = dict(input_ids=example.tokens, assistant_masks=masks)
            file.write(json.dumps(line) + "\n")
    return float(rows["loss_weights"].sum() / (rows["segment_ids"] > 0).sum())


def spread(examples: list[Example], updates: int, rows: int, length: int) -> dict[str, np.ndarray]:
    """Packed rows of the examples, {name: [updates, rows, length]}, from all over: they come with
    the longest texts first and the emptiest row last."""
    packed = pack(examples, length)
    taken = np.linspace(0, len(packed.tokens) - 2, updates * rows).astype(int)
    shape = (updates, rows, length)
    return {name: getattr(packed, name)[taken].reshape(shape) for name in FIELDS}
