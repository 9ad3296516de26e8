"""The plan of an experiment, pure: config and counts in; stages, arms, fingerprints, costs out."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

import vcjax
from vcjax.config import RECIPE, profiled
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.architecture import Architecture
from vcjax.models.head import CHUNK
from vcjax.models.kernels import BLOCK

TYPICAL_FILL = 0.97  # of packed rows, where documents are much shorter than a row
FEW_UPDATES = 20  # fewer gave silent nulls in reproductions of the study


@dataclasses.dataclass(frozen=True)
class StageData:
    """What one stage and seed work on, by content: packed rows, or an adapter to take over."""

    rows_id: str  # the folder of the rows under workdir/rows
    held_out_id: str | None  # likewise, of the documents kept out of training
    rows: int
    documents: int
    held_out_documents: int
    tokens: int
    weighted_tokens: int
    split_documents: int
    most_documents: int  # of a row, held-out ones included
    left_out_tokens: int = 0  # in parts of split documents where no token has weight

    @classmethod
    def nothing(cls, rows_id: str) -> "StageData":
        """Of a stage that trains nothing; rows_id: what it takes over instead."""
        return cls(rows_id, None, *[0] * 7)

    @classmethod
    def stated(cls, name: str, stage: ConfigDict) -> "StageData":
        """What a stage's config states of a file that is not here."""
        records, tokens, weighted = (
            stage.stated[key] for key in ("records", "tokens", "weighted_tokens")
        )
        rows = math.ceil(tokens / (stage.length * TYPICAL_FILL))
        return cls(f"stated {name}", None, rows, records, 0, tokens, weighted, 0, 0)


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One training run, checkpoint to checkpoint."""

    fingerprint: str
    name: str
    kind: str
    seed: int
    parent: str | None  # the fingerprint of the stage whose weights it goes on with
    recipe: dict[str, Any]
    data: StageData
    rows_per_update: int
    updates: int
    warmup: int

    @property
    def micro_batch_rows(self) -> int:
        return self.rows_per_update // self.recipe["accumulation"]

    @property
    def tokens(self) -> int:
        """Tokens it trains on, over all epochs."""
        return self.data.tokens * self.recipe["epochs"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """stages by fingerprint, parents first; arms: name -> seed -> chain of fingerprints."""

    stages: dict[str, StagePlan]
    arms: dict[str, dict[int, tuple[str, ...]]]

    def title(self, fingerprint: str) -> str:
        """For a person: "behavior after america, seed 0"."""
        stage = self.stages[fingerprint]
        after = f" after {self.stages[stage.parent].name}" if stage.parent else ""
        return f"{stage.name}{after}, seed {stage.seed}"

    def chains(self) -> dict[str, str]:
        """Fingerprint -> the names of the stages that lead to it and its own, "a > b"."""
        found = {}
        for seeds in self.arms.values():
            for fingerprints in seeds.values():
                names = [self.stages[fingerprint].name for fingerprint in fingerprints]
                for i, fingerprint in enumerate(fingerprints):
                    found[fingerprint] = " > ".join(names[: i + 1])
        return found


def make_plan(
    config: ConfigDict, model_identity: str, data: Mapping[tuple[str, int], StageData]
) -> Plan:
    """config: resolved; data: (stage name, seed) -> its rows. InputError: what is refused."""
    stages: dict[str, StagePlan] = {}
    arms: dict[str, dict[int, tuple[str, ...]]] = {arm: {} for arm in config.arms}
    for seed in range(config.seeds):
        for arm, names in config.arms.items():
            chain: list[str] = []
            for name in names:
                parent = chain[-1] if chain else None
                stage = _plan_stage(config, model_identity, name, seed, parent, data[name, seed])
                same = stages.setdefault(stage.fingerprint, stage)
                if same.name != name:
                    raise InputError(
                        f"config.stages: {same.name} and {name} are the same stage, by their data "
                        f"and settings; use {same.name} in the arms of both"
                    )
                chain.append(stage.fingerprint)
            arms[arm][seed] = tuple(chain)
    return Plan(stages, arms)


def _plan_stage(
    config: ConfigDict,
    model_identity: str,
    name: str,
    seed: int,
    parent: str | None,
    data: StageData,
) -> StagePlan:
    settings = config.stages[name]
    recipe = {key: settings[key] for key in RECIPE}
    rows_per_update = settings.batch_tokens // settings.length
    updates = math.ceil(data.rows * settings.epochs / rows_per_update)
    warmup = math.ceil(settings.warmup * updates)
    where = f"stage {name}, seed {seed}"
    traced = profiled(config)
    trains = settings.kind != "adapter"
    if trains and data.weighted_tokens == 0:
        raise InputError(f"{where}: no token has weight, so it would train nothing; check its data")
    if trains and warmup >= updates:
        also = ""
        if data.left_out_tokens:
            also = f" or a larger length (it left out {data.left_out_tokens:,} tokens of prompts)"
        raise InputError(
            f"{where}: a warm-up of {warmup} update(s) is not shorter than the stage "
            f"({updates}); lower batch_tokens or warmup, or give it more data{also}"
        )
    if trains and traced and traced[-1] > updates:
        raise InputError(
            f"config.profile: {config.profile}, but {where} has {updates} update(s); name some "
            "that every stage has"
        )
    determines = {
        "model": model_identity,
        "rows": data.rows_id,
        "held_out": [data.held_out_id, config.eval_every],
        "recipe": recipe,
        "compute_dtype": config.compute_dtype,
        "seed": seed,
        "parent": parent,
        "numerics": vcjax.NUMERICS,
    }
    fingerprint = hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()[:16]
    return StagePlan(
        fingerprint,
        name,
        settings.kind,
        seed,
        parent,
        recipe,
        data,
        rows_per_update,
        updates,
        warmup,
    )


def idle(rows: int, batch_shards: int) -> str | None:
    """What is wrong where the rows of a micro-batch do not divide over the devices, else None."""
    if rows % batch_shards == 0:
        return None
    return (
        f"{rows} row(s) at a time cannot be divided over {batch_shards} devices, so each computes "
        "all of them. Raise batch_tokens, lower accumulation or change the mesh."
    )


def warnings(plan: Plan, batch_shards: int) -> list[str]:
    """What a person should know before the training starts, one line each.

    batch_shards: as `sharding.batch_shards`.
    """
    lines = []
    for fingerprint, stage in plan.stages.items():
        if stage.kind == "adapter":  # it trains nothing
            continue
        where = plan.title(fingerprint)
        if stage.updates < FEW_UPDATES:
            lines.append(
                f"{where}: only {stage.updates} updates; reproductions of the study with so few "
                "saw no effect. Lower batch_tokens or raise epochs."
            )
        rows = stage.micro_batch_rows
        if wrong := idle(rows, batch_shards):
            lines.append(f"{where}: {wrong}")
        if stage.data.split_documents:
            lines.append(
                f"{where}: {stage.data.split_documents} of {stage.data.documents} documents are "
                f"longer than a row of {stage.recipe['length']} tokens and were split"
            )
        if stage.data.left_out_tokens:
            lines.append(
                f"{where}: {stage.data.left_out_tokens:,} tokens are left out: parts of split "
                "documents in which nothing is trained on, as of a prompt longer than a row"
            )
    return lines


@dataclasses.dataclass(frozen=True)
class Cost:
    """What carrying out a plan takes; estimates from shapes."""

    flops: float  # of the stages still to train
    memory_bytes: int  # host and devices together, one stage at a time
    disk_bytes: int  # that the stages still to train add to the workdir


def cost(plan: Plan, done: set[str], architecture: Architecture, config: ConfigDict) -> Cost:
    """The cost of the stages not in `done`.

    FLOPs: `Architecture.train_flops`, and what the remat policy computes again.
    """
    again = [architecture.projections[name] for name in transformer.recomputed(config.remat)]
    width = 2 if config.compute_dtype == "bfloat16" else 4
    flops, memory, disk = 0.0, 0, 0
    for fingerprint, stage in plan.stages.items():
        if stage.recipe["train"] == "lora":
            rank = stage.recipe["rank"]
            trained, base = architecture.num_adapter_params(rank), architecture.num_params() * width
        else:
            rank, trained, base = None, architecture.num_params(), 0
        rows = stage.micro_batch_rows
        tokens = rows * stage.recipe["length"]
        kept = architecture.num_layers * transformer.saved_values(architecture, rank, config.remat)
        activations = tokens * width * (kept + 12 * architecture.embed_dim)
        logits = rows * CHUNK * architecture.vocab_size * 4 * 3
        length = stage.recipe["length"]
        attention = rows * architecture.num_heads * length * min(length, BLOCK) * 4 * 3
        memory = max(memory, base + 4 * 4 * trained + activations + logits + attention)
        if fingerprint in done:
            continue
        weighted = stage.data.weighted_tokens * stage.recipe["epochs"]
        positions = stage.data.rows * stage.recipe["length"] * stage.recipe["epochs"]
        recomputed = architecture.num_layers * sum(i * o + (rank or 0) * (i + o) for i, o in again)
        flops += architecture.train_flops(rank, positions, weighted) + 2 * positions * recomputed
        # Kept: the parameters. At the same time, once: the checkpoints with optimizer state.
        disk += 4 * trained
    if disk:
        disk += (config.keep_checkpoints + 1) * 3 * 4 * trained
    return Cost(flops, memory, disk)


def describe(plan: Plan, done: set[str], costs: Cost, flops_per_second: float | None) -> str:
    """The graph of stages for a terminal; `done` are the stages that exist already.

    flops_per_second: what training reaches on this machine; None: it will run elsewhere.
    """
    header = ("stage", "rows", "documents", "tokens", "weighted", "updates", "warm-up", "split", "")
    table: list[tuple[str, ...]] = [header]
    for fingerprint, stage in plan.stages.items():
        data = stage.data
        numbers = (
            data.rows,
            data.documents,
            stage.tokens,
            data.weighted_tokens * stage.recipe["epochs"],
            stage.updates,
            stage.warmup,
            data.split_documents,
        )
        state = "exists" if fingerprint in done else fingerprint
        table.append((plan.title(fingerprint), *(f"{n:,}" for n in numbers), state))
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, len(header) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    for arm, chains in plan.arms.items():
        names = [plan.stages[f].name for f in chains[0]]
        lines.append(f"arm {arm}: {' -> '.join(names) if names else 'the untouched model'}")
    left = len(plan.stages.keys() - done)
    summary = f"to train: {left} of {len(plan.stages)} stages"
    if left:
        work = f"{costs.flops:.2g} FLOPs"
        if flops_per_second is not None:
            work = f"{costs.flops / flops_per_second / 60:.1f} min of training"
        summary += (
            f"; estimated: {work}, {costs.memory_bytes / 1e9:.1f} GB for weights and activations, "
            f"{costs.disk_bytes / 1e9:.1f} GB more disk"
        )
    return "\n".join([*lines, summary])
