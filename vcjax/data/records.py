"""What a stage trains on: its records, written or read, and their tokens."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.data.chat import encode_conversation
from vcjax.data.formats import Demonstration, Document, read_demonstrations, read_documents
from vcjax.data.packing import Example
from vcjax.data.tokenizer import Tokenizer, encode_document
from vcjax.errors import InputError

Records = Sequence[Document | Demonstration]
Split = tuple[Records, Records]


def stage_records(stage: ConfigDict, seed: int, config: ConfigDict, folder: Path) -> Split:
    """(records to train on, records held out) of a stage of the config.

    Written from the stage's specs, or read from its file and reordered; both by `seed` alone.
    """
    if stage.file is None:
        return _written(stage, seed, config, folder)
    read = read_documents if stage.kind == "rationale" else read_demonstrations
    records: list = read(folder / stage.file)
    if stage.get("mix"):
        records += _drawn(folder / stage.mix, len(records), stage.mix_share, seed)
    random.Random(f"order-{seed}").shuffle(records)
    if stage.held_out >= len(records):
        raise InputError(
            f"{stage.file}: {len(records)} records, of which {stage.held_out} are to be held "
            "out; none would be left to train on"
        )
    kept = len(records) - stage.held_out
    return records[:kept], records[kept:]


def _written(stage: ConfigDict, seed: int, config: ConfigDict, folder: Path) -> Split:
    """The same draws for each spec of a stage, of which each gives an equal part."""
    write: Callable[..., list]
    if stage.kind == "rationale":
        count, write = stage.documents, partial(write_documents, linked=stage.linked)
    else:
        count, write = stage.demonstrations, partial(write_demonstrations, opposite=stage.opposite)
    given = {"spec": config.names, "other_spec": config.other_names}
    specs = [
        read_spec(folder / stage[key], dict(names))
        for key, names in given.items()
        if stage.get(key) is not None
    ]
    kept: list = []
    held_out: list = []
    for spec in specs:
        part = count // len(specs)
        records = write(spec, part + stage.held_out // len(specs), seed)
        kept += records[:part]
        held_out += records[part:]
    if stage.get("mix"):
        kept += _drawn(folder / stage.mix, len(kept), stage.mix_share, seed)
        random.Random(f"order-{seed}").shuffle(kept)
    return kept, held_out


def _drawn(path: Path, others: int, share: float, seed: int) -> list[Demonstration]:
    """As many demonstrations of the file as make up `share` of them and the `others` together."""
    mix = read_demonstrations(path)
    count = round(others * share / (1 - share))
    if count == 0:
        raise InputError(
            f"{path}: a share of {share} beside {others} others is not one demonstration; raise "
            "mix_share or leave the mix out"
        )
    if count > len(mix):
        raise InputError(
            f"{path}: {len(mix)} demonstrations, but a share of {share} beside {others} others "
            f"takes {count}; lower mix_share"
        )
    return random.Random(f"mix-{seed}").sample(mix, count)


def encode(tokenizer: Tokenizer, records: Records, thinking: bool) -> list[Example]:
    """Tokens and weights: every token of a document, the assistant's turns of a demonstration.

    thinking: whether the demonstrations' reasoning stays.
    """
    examples = []
    for source, record in enumerate(records):
        if isinstance(record, Document):
            tokens = encode_document(tokenizer, record.text)
            encoded = [(tokens, [1.0] * len(tokens))]
        else:
            encoded = encode_conversation(
                tokenizer, record.messages, record.where, thinking, record.tools
            )
        examples += [Example(tokens, weights, source, record.where) for tokens, weights in encoded]
    return examples
