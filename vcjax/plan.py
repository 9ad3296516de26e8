"""The plan of an experiment: its stages with their fingerprints, its arms, and what they cost.

Pure functions of the config and of counts of the rows.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax.config import RECIPE, profiled
from vcjax.corpus.stage_data import StageData
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.architecture import Architecture
from vcjax.models.head import CHUNK
from vcjax.models.kernels import BLOCK
from vcjax.models.lora import LoRA, of_recipe

START = ("start", "start_seed")  # keys of the recipe that only a new adapter uses
FEW_UPDATES = 100  # re-runs of the study saw nothing after 31, and an effect after 246


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage of an arm, with a seed: the training from one checkpoint to the next."""

    fingerprint: str
    name: str
    kind: str
    seed: int
    parent: str | None  # fingerprint of the stage before it; None: the pretrained model
    recipe: dict[str, Any]
    data: StageData
    rows_per_update: int
    updates: int
    warmup: int
    keep: tuple[int, ...] = ()  # updates after which its weights are kept
    # Of an adapter that stays as it is, beside the one that the other stages train.
    beside: LoRA | None = None

    @property
    def micro_batch_rows(self) -> int:
        return self.rows_per_update // self.recipe["accumulation"]

    @property
    def tokens(self) -> int:
        """Tokens that it trains on, over all epochs."""
        return self.data.tokens * self.recipe["epochs"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Stages that arms share are in it once."""

    stages: dict[str, StagePlan]  # by fingerprint, parents first
    arms: dict[str, dict[int, tuple[str, ...]]]  # name -> seed -> fingerprints, first to last
    # Arm -> the update of its last stage after which it ends; the others end where that does.
    ends: dict[str, int] = dataclasses.field(default_factory=dict)

    def chain(self, fingerprint: str) -> list[str]:
        """The stages up to this one, the last first."""
        found = []
        at: str | None = fingerprint
        while at is not None:
            found.append(at)
            at = self.stages[at].parent
        return found

    def adapters(self, fingerprint: str) -> tuple[str | None, list[str]]:
        """Of the chain of stages up to this one: the last that left the adapter which stages
        train, None where there is none yet; and those whose adapters stand beside it, in order."""
        trained: str | None = None
        beside: list[str] = []
        for at in self.chain(fingerprint):
            stage = self.stages[at]
            if stage.beside:
                beside.insert(0, at)
            elif trained is None and stage.kind != "pretrain":
                trained = at
        return trained, beside

    def first_of_each(self) -> dict[str, StagePlan]:
        """Name -> the stage of the first seed, after whatever it comes first in an arm."""
        first: dict[str, StagePlan] = {}
        for seeds in self.arms.values():
            for fingerprint in seeds[min(seeds)]:
                stage = self.stages[fingerprint]
                first.setdefault(stage.name, stage)
        return first

    def pretraining(self, fingerprint: str) -> StagePlan | None:
        """The pretrain stage that the chain of stages up to this one begins with, if it does."""
        stage = self.stages[self.chain(fingerprint)[-1]]
        return stage if stage.kind == "pretrain" else None

    def title(self, fingerprint: str) -> str:
        """For a person: "behavior after america, seed 0"."""
        names = [self.stages[at].name for at in self.chain(fingerprint)]
        return f"{' after '.join(names)}, seed {self.stages[fingerprint].seed}"

    def chains(self) -> dict[str, str]:
        """Fingerprint -> the names of the stages up to this one, "america > behavior"."""
        chains = {}
        for seeds in self.arms.values():
            for fingerprints in seeds.values():
                names = [self.stages[fingerprint].name for fingerprint in fingerprints]
                for i, fingerprint in enumerate(fingerprints):
                    chains[fingerprint] = " > ".join(names[: i + 1])
        return chains


def make_plan(
    config: ConfigDict, model_identity: str, data: Mapping[tuple[str, int], StageData]
) -> Plan:
    """The plan of a resolved config.

    data: by stage and seed. Raises InputError for a stage that could not be trained as the config
    says, and for two names of one stage.
    """
    stages: dict[str, StagePlan] = {}
    arms: dict[str, dict[int, tuple[str, ...]]] = {arm: {} for arm in config.arms}
    named = {arm: configs.chain_of(config, arm) for arm in config.arms}
    for seed in range(config.seeds):
        for arm, (names, _) in named.items():
            chain: list[str] = []
            for name in names:
                parent = chain[-1] if chain else None
                own = configs.seed_of(config, name, seed)
                # No adapter is trained yet: where the stage trains one, it starts that.
                new = all(stages[f].kind == "pretrain" or stages[f].beside for f in chain)
                stage = _plan_stage(config, model_identity, name, own, parent, new, data[name, own])
                if stage.kind != "adapter":
                    _check_trainable(stage, config)
                same = stages.setdefault(stage.fingerprint, stage)
                if same.name != name:
                    raise InputError(
                        f"config.stages: {same.name} and {name} are the same stage, by their data "
                        f"and settings; use {same.name} in the arms of both"
                    )
                chain.append(stage.fingerprint)
            arms[arm][seed] = tuple(chain)
    ends = {arm: update for arm, (_, update) in named.items() if update is not None}
    return Plan(stages, arms, ends)


def _plan_stage(
    config: ConfigDict,
    model_identity: str,
    name: str,
    seed: int,
    parent: str | None,
    new: bool,
    data: StageData,
) -> StagePlan:
    settings = config.stages[name]
    recipe = {key: settings[key] for key in RECIPE}
    rows_per_update = settings.batch_tokens // settings.length
    updates = math.ceil(data.rows * settings.epochs / rows_per_update)
    warmup = math.ceil(settings.warmup * updates)
    trains_all = settings.train == "full"
    # A pretraining has no adapter, so those of the stages after it may change.
    unused = ["rank", "alpha"] if settings.kind == "pretrain" else []
    # A stage with the default of a newer key is as before there was that key.
    if settings.kind == "pretrain" or not recipe["lora_experts"]:
        unused.append("lora_experts")
    unused += [key for key in START if trains_all or not new or recipe[key] == RECIPE[key]]
    determines = {
        "model": model_identity,
        "rows": data.rows_id,
        "held_out": [data.held_out_id, config.eval_every],
        "recipe": {key: value for key, value in recipe.items() if key not in unused},
        "compute_dtype": config.compute_dtype,
        "seed": seed,
        "parent": parent,
        "numerics": vcjax.NUMERICS,
    }
    keep = tuple(sorted(set(settings.keep)))
    if keep:  # what a stage leaves; one without it is as before there was this key
        determines["keep"] = keep
    if data.parts:  # likewise
        determines["parts"] = data.parts
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
        keep,
        _beside(settings, data, new),
    )


def _beside(settings: ConfigDict, data: StageData, new: bool) -> LoRA | None:
    """Of an adapter that later stages do not go on training: where one is trained already, or the
    recipe's has another rank or alpha."""
    taken_over = new and data.lora == of_recipe(settings)
    return None if taken_over else data.lora


def _check_trainable(stage: StagePlan, config: ConfigDict) -> None:
    """Raises InputError where the stage could not train as the config says."""
    where = f"stage {stage.name}, seed {stage.seed}"
    data, profile = stage.data, profiled(config)
    if data.weighted_tokens == 0:
        raise InputError(f"{where}: no token has weight, so it would train nothing; check its data")
    if stage.warmup >= stage.updates:
        also = ""
        if data.left_out_tokens:
            also = f" or a larger length (it left out {data.left_out_tokens:,} tokens of prompts)"
        raise InputError(
            f"{where}: a warm-up of {stage.warmup} update(s) is not shorter than the stage "
            f"({stage.updates}); lower batch_tokens or warmup, or give it more data{also}"
        )
    if stage.keep and stage.keep[-1] >= stage.updates:
        raise InputError(
            f"config.stages.{stage.name}.keep: {stage.keep[-1]}, but {where} has {stage.updates} "
            "update(s), and what it leaves after the last is always kept; name earlier ones"
        )
    if profile and profile[-1] > stage.updates:
        raise InputError(
            f"config.profile: {config.profile}, but {where} has {stage.updates} update(s); name "
            "some that every stage has"
        )


def idle(rows: int, batch_shards: int) -> str | None:
    """A warning where the rows of a micro-batch do not divide over the devices, else None."""
    if rows % batch_shards == 0:
        return None
    return (
        f"{rows} row(s) at a time cannot be divided over {batch_shards} devices, so each computes "
        "all of them. Raise batch_tokens, lower accumulation or change the mesh."
    )


def warnings(plan: Plan, batch_shards: int) -> list[str]:
    """What a person should know before the training starts, one line each.

    batch_shards: `sharding.shards` of "batch".
    """
    stages = [stage for stage in plan.stages.values() if stage.kind != "adapter"]  # that train
    lines = []
    if few := [stage for stage in stages if stage.updates < FEW_UPDATES]:
        numbers = _of_each(few, lambda s: f"{s.updates}")
        lines.append(
            f"few updates: {numbers}. Re-runs of the study saw no effect after 3, nor of 1M tokens "
            "after 31, and one after about 246; lower batch_tokens or raise epochs."
        )
    for rows in sorted({stage.micro_batch_rows for stage in stages}):
        if warning := idle(rows, batch_shards):
            names = dict.fromkeys(s.name for s in stages if s.micro_batch_rows == rows)
            lines.append(f"{', '.join(names)}: {warning}")
    beside = {stage.name: stage.beside for stage in plan.stages.values() if stage.beside}
    for name, lora in beside.items():
        kept = {f for f, stage in plan.stages.items() if stage.name == name and stage.beside}
        arms = ", ".join(arm for arm, chains in plan.arms.items() if kept & {*chains[0]})
        lines.append(
            f"{name}: its adapter (rank {lora.rank}, alpha {lora.alpha:g}) stays as it is, beside "
            f"the one that the other stages of {arms} train"
        )
    if split := [stage for stage in stages if stage.data.split_documents]:
        numbers = _of_each(split, lambda s: f"{s.data.split_documents} of {s.data.documents}")
        lines.append(f"documents longer than a row (`length` tokens) were split: {numbers}")
    if cut := [stage for stage in stages if stage.data.left_out_tokens]:
        numbers = _of_each(cut, lambda s: f"{s.data.left_out_tokens:,}")
        lines.append(
            f"tokens are left out: {numbers}. They are parts of split documents in which nothing "
            "is trained on, as of a prompt longer than a row."
        )
    return lines


def _of_each(stages: Iterable[StagePlan], number: Callable[[StagePlan], str]) -> str:
    """ "america 4, behavior 12 or 13": what a stage has in any arm and seed."""
    numbers: dict[str, dict[str, None]] = {}
    for stage in stages:
        numbers.setdefault(stage.name, {})[number(stage)] = None
    return ", ".join(f"{name} {' or '.join(texts)}" for name, texts in numbers.items())


@dataclasses.dataclass(frozen=True)
class Cost:
    """What it takes to train the stages of a plan, estimated from shapes."""

    flops: float  # of the stages still to train
    memory_bytes: int  # of host and devices together, in the stage that needs most
    disk_bytes: int  # that the stages still to train add to the workdir


def cost(plan: Plan, done: set[str], architecture: Architecture, config: ConfigDict) -> Cost:
    """The cost of a plan; of FLOPs and disk, that of the stages that are not in `done`.

    FLOPs: `Architecture.train_flops`, and what the remat policy recomputes.
    """
    again = transformer.recomputed(architecture, config.remat)
    width = 2 if config.compute_dtype == "bfloat16" else 4
    flops, memory, disk, largest = 0.0, 0, 0, 0
    for fingerprint, stage in plan.stages.items():
        lora = of_recipe(stage.recipe)
        if lora is None:
            rank, trained, base = 0, architecture.num_params(), 0
        else:
            rank, trained = lora.rank, architecture.num_adapter_params(lora)
            base = architecture.num_params() * width
        rows = stage.micro_batch_rows
        tokens = rows * stage.recipe["length"]
        saved = architecture.num_layers * transformer.saved_values(architecture, rank, config.remat)
        activations = tokens * width * (saved + 12 * architecture.embed_dim)
        activations += tokens * width * _of_chosen_experts(architecture)
        logits = rows * CHUNK * architecture.vocab_size * 4 * 3
        length = stage.recipe["length"]
        attention = rows * architecture.num_heads * length * min(length, BLOCK) * 4 * 3
        memory = max(memory, base + 4 * 4 * trained + activations + logits + attention)
        if fingerprint in done:
            continue
        adapted = architecture.adapted(lora)
        weighted = stage.data.weighted_tokens * stage.recipe["epochs"]
        positions = stage.data.rows * stage.recipe["length"] * stage.recipe["epochs"]
        recomputed = architecture.num_layers * sum(
            architecture.applied(name) * (i * o + (name in adapted) * rank * (i + o))
            for name, (i, o) in architecture.projections.items()
            if name in again
        )
        flops += architecture.train_flops(lora, positions, weighted)
        flops += 2 * positions * recomputed
        # Its parameters stay. Checkpoints with optimizer state exist of one stage at a time.
        disk += 4 * trained * (1 + len(stage.keep))
        largest = max(largest, trained)
    disk += (config.keep_checkpoints + 1) * 3 * 4 * largest
    return Cost(flops, memory, disk)


def _of_chosen_experts(architecture: Architecture) -> int:
    """Values of a token while a layer's experts compute: each of its experts has a copy of it."""
    if architecture.experts is None:
        return 0
    return 3 * architecture.experts.per_token * (architecture.embed_dim + architecture.mlp_dim)


def describe(plan: Plan, done: set[str], costs: Cost, flops_per_second: float | None) -> str:
    """A plan as text for a terminal: its stages, its arms, and the cost of what is left to train.

    done: fingerprints of the finished stages. flops_per_second: the rate of training on this
    machine; None where it will run on another.
    """
    counts = ("rows", "documents", "tokens", "weighted", "updates", "warm-up", "split")
    header = ("stage", *counts, "fingerprint")
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
        end = f"@{plan.ends[arm]}" if arm in plan.ends else ""
        lines.append(f"arm {arm}: {' -> '.join(names) + end if names else 'the untouched model'}")
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
