"""What the stages of an experiment work on, before it is written: packed rows, or an adapter."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax.data import records, rows
from vcjax.data.packing import Packed, pack
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.plan import StageData
from vcjax.weights import peft
from vcjax.weights.pretrained import Pretrained


@dataclasses.dataclass(frozen=True)
class PackedStage:
    """The rows of one stage and seed, in memory, with the records they came from."""

    train: Packed
    train_records: records.Records
    held_out: Packed | None
    held_out_records: records.Records

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
        if settings.length > found.shape.context_length:
            raise InputError(
                f"config.stages.{name}.length: {settings.length} is longer than the model's "
                f"context of {found.shape.context_length} tokens"
            )
        for seed in range(config.seeds):
            kept, held_out = records.stage_records(settings, seed, config, folder)
            train = _packed(kept, settings, found.tokenizer)
            test = _packed(held_out, settings, found.tokenizer) if held_out else None
            packed[name, seed] = PackedStage(train, kept, test, held_out)
    return packed


def _packed(part: records.Records, settings: ConfigDict, tokenizer: Tokenizer) -> Packed:
    examples = records.encode(tokenizer, part, settings.get("thinking", False))
    return pack(examples, settings.length, settings.overlong)


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
            model = Model(found.shape, lora, config.compute_dtype, config.remat)
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
    return lines
