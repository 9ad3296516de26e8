"""What the stages of an experiment work on, before it is written: packed rows, or an adapter."""

import dataclasses
import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax.corpus.demonstrations import write_demonstrations
from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.data import folders, rows
from vcjax.data.chat import encode_conversation
from vcjax.data.formats import Demonstration, Document, read_demonstrations, read_documents
from vcjax.data.packing import Example, Packed, pack
from vcjax.data.tokenizer import Tokenizer, encode_document
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.plan import StageData
from vcjax.weights import peft
from vcjax.weights.pretrained import Pretrained

Records = Sequence[Document | Demonstration]
Split = tuple[Records, Records]


@dataclasses.dataclass(frozen=True)
class PackedStage:
    """The rows of one stage and seed, in memory, with the records they came from."""

    train: Packed
    train_records: Records
    held_out: Packed | None
    held_out_records: Records

    @functools.cached_property
    def facts(self) -> StageData:
        counts = self.train.counts
        parts = [self.train, self.held_out] if self.held_out else [self.train]
        return StageData(
            rows_id=rows.content_hash(self.train)[:16],
            held_out_id=rows.content_hash(self.held_out)[:16] if self.held_out else None,
            rows=int(counts["rows"]),
            documents=int(counts["documents"]),
            held_out_documents=len(self.held_out_records),
            tokens=int(counts["tokens"]),
            weighted_tokens=round(counts["weighted_tokens"]),
            split_documents=int(counts["split_documents"]),
            most_documents=max(int(packed.counts["most_documents"]) for packed in parts),
        )

    def write(self, workdir: epath.Path) -> None:
        """Writes what is not there yet; rows are named by their content and never change."""
        parts = [(self.facts.rows_id, self.train, self.train_records)]
        if self.held_out and self.facts.held_out_id:
            parts.append((self.facts.held_out_id, self.held_out, self.held_out_records))
        for rows_id, packed, from_records in parts:
            folder = workdir / "rows" / rows_id
            if not rows.exist(folder):
                rows.write_rows(folder, packed, from_records)


def pack_all(
    config: ConfigDict, found: Pretrained, folder: Path
) -> dict[tuple[str, int], PackedStage]:
    """(stage name, seed) -> its packed rows, for every stage that an arm uses."""
    packed = {}
    for name in configs.used_stages(config):
        settings = config.stages[name]
        if settings.kind == "adapter":
            continue
        if settings.length > found.architecture.context_length:
            raise InputError(
                f"config.stages.{name}.length: {settings.length} is longer than the model's "
                f"context of {found.architecture.context_length} tokens"
            )
        for seed in range(config.seeds):
            kept, held_out = stage_records(settings, seed, config, folder)
            train = _packed(kept, settings, found.tokenizer)
            test = _packed(held_out, settings, found.tokenizer) if held_out else None
            packed[name, seed] = PackedStage(train, kept, test, held_out)
    return packed


def _packed(part: Records, settings: ConfigDict, tokenizer: Tokenizer) -> Packed:
    examples = encode(tokenizer, part, settings.get("thinking", False))
    return pack(examples, settings.length, settings.overlong)


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
        count, write = stage.documents, functools.partial(write_documents, linked=stage.linked)
    else:
        count, write = (
            stage.demonstrations,
            functools.partial(write_demonstrations, opposite=stage.opposite),
        )
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


def adapters(
    config: ConfigDict, found: Pretrained, folder: Path
) -> dict[tuple[str, int], StageData]:
    """(stage name, seed) -> the adapter that the stage takes over, in place of rows.

    It is read once here, so that one that does not fit is refused before anything is written.
    """
    facts: dict[tuple[str, int], StageData] = {}
    for name in configs.used_stages(config):
        settings = config.stages[name]
        if settings.kind == "adapter":
            source, lora = folder / settings.file, LoRA(settings.rank, settings.alpha)
            model = Model(found.architecture, lora, config.compute_dtype, config.remat)
            zeros = jax.tree.map(lambda x: np.zeros(x.shape), transformer.trained_shapes(model))
            peft.read_adapter(source, model, zeros)
            identity = peft.identity(source)[:16]
            facts |= {(name, seed): StageData.nothing(identity) for seed in range(config.seeds)}
    return facts


def warnings(config: ConfigDict, folder: Path) -> list[str]:
    """What a person should know of the stages' data before the training starts, one line each."""
    lines = []
    for name in configs.used_stages(config):
        settings = config.stages[name]
        if settings.kind == "adapter":
            base = peft.other_base(folder / settings.file, config.model)
            if base is not None:
                lines.append(
                    f"stage {name}: {settings.file} was trained on {base}, the experiment's model "
                    f"is {config.model}; only on its own base does it do what it was trained to"
                )
            continue
        for path in filter(None, (settings.file, settings.get("mix"))):
            if names := folders.left_out(folder / path):
                lines.append(f"stage {name}: {path}: not read: {', '.join(names)}")
    return lines
