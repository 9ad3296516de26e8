"""What a stage trains on: its records, written or read, and their tokens."""

import random
from collections.abc import Mapping, Sequence
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


def stage_records(
    stage: ConfigDict, seed: int, names: Mapping[str, str], folder: Path
) -> tuple[Records, Records]:
    """(records to train on, records held out) of a stage of the config.

    Written from the stage's spec, or read from its file and reordered; both by `seed` alone.
    """
    is_rationale = stage.kind == "rationale"
    records: list
    if stage.spec is not None:
        spec = read_spec(folder / stage.spec, dict(names))
        write = write_documents if is_rationale else write_demonstrations
        count = stage.documents if is_rationale else stage.demonstrations
        records = list(write(spec, count + stage.held_out, seed))
    else:
        read = read_documents if is_rationale else read_demonstrations
        records = list(read(folder / stage.file))
    if not is_rationale and stage.mix:
        records += _drawn(folder / stage.mix, len(records), stage.mix_share, seed)
    if stage.spec is None or (not is_rationale and stage.mix):
        random.Random(f"order-{seed}").shuffle(records)
        if stage.held_out >= len(records):
            raise InputError(
                f"{stage.file}: {len(records)} records, of which {stage.held_out} are to be held "
                "out; none would be left to train on"
            )
    kept = len(records) - stage.held_out
    return records[:kept], records[kept:]


def _drawn(path: Path, others: int, share: float, seed: int) -> list[Demonstration]:
    """As many demonstrations of the file as make up `share` of them and the `others` together."""
    mix = read_demonstrations(path)
    count = round(others * share / (1 - share))
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
