"""What the stages of an arm left, on the host: its adapter, or a reader of all weights."""

import dataclasses
import functools
from typing import Any

import numpy as np
from etils import epath

from vcjax.models import lora as loras
from vcjax.models import transformer
from vcjax.models.architecture import Architecture
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.plan import Plan
from vcjax.training import checkpoint
from vcjax.weights import pretrained
from vcjax.weights.placement import Index, Leaf, Reader
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import stages

PyTree = Any


def lora_of(plan: Plan, last: str) -> LoRA | None:
    """Rank and alpha of `adapter`; None where the stage `last` trained all weights.

    Of several adapters that stand beside each other: their ranks together, at the first one's
    scale.
    """
    if plan.stages[last].recipe["train"] == "full":
        return None
    parts = _parts(plan, last)
    if len(parts) == 1:
        return parts[0][1]
    rank = sum(lora.rank for _, lora in parts)
    return dataclasses.replace(parts[0][1], rank=rank, alpha=parts[0][1].scale * rank)


def _parts(plan: Plan, last: str) -> list[tuple[str, LoRA]]:
    """The stages that left an adapter of the chain up to `last`: the one that was trained first."""
    trained, beside = plan.adapters(last)
    found = []
    if trained is not None:
        own = loras.of_recipe(plan.stages[trained].recipe)
        assert own is not None
        found.append((trained, own))
    for fingerprint in beside:
        lora = plan.stages[fingerprint].beside
        assert lora is not None
        found.append((fingerprint, lora))
    return found


def adapter(
    workdir: epath.Path, plan: Plan, last: str, end: int | None, architecture: Architecture
) -> PyTree:
    """{projection: {a, b}}, float32 host arrays: what the adapters add that the chain of stages up
    to `last` left, at its end or after the update `end`, as one with `lora_of`."""

    def restored(fingerprint: str, lora: LoRA) -> PyTree:
        folder = stages.weights(workdir, fingerprint, end if fingerprint == last else None)
        like = transformer.trained_shapes(Model(architecture, lora, "float32", "full"))
        return checkpoint.restore_params(folder, like)["adapter"]

    (first, own), *others = _parts(plan, last)
    whole = restored(first, own)
    for fingerprint, lora in others:
        of_same_scale = loras.scaled(restored(fingerprint, lora), lora.scale / own.scale)
        whole = loras.joined(whole, of_same_scale)
    return whole


def base(workdir: epath.Path, plan: Plan, last: str | None, model: Pretrained) -> Reader:
    """What an arm's adapters go on: the model's weights, or those that its pretraining left."""
    of_file = _float32 if model.path is None else pretrained.open_weights(model.path)
    pretraining = None if last is None else plan.pretraining(last)
    if pretraining is None:
        return of_file
    return all_weights(of_file, stages.weights(workdir, pretraining.fingerprint))


def _float32(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
    """Of a model that starts from nothing: the type of its weights, and no more."""
    return np.zeros(0, np.float32)


def merged(base: Reader, adapter: PyTree, scale: float) -> Reader:
    """W + scale A B, in float32, rounded to the type of W."""

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        weight = base(leaf, layer, index)
        if leaf[-1] != "kernel" or leaf[1] not in adapter:
            return weight
        a, b = (adapter[leaf[1]][name][layer] for name in ("a", "b"))
        *experts, inputs, outputs = index
        added = scale * (a[*experts, inputs] @ b[*experts, :, outputs])
        return (weight.astype(np.float32) + added).astype(weight.dtype)

    return read


def all_weights(base: Reader, checkpoints: epath.Path) -> Reader:
    """The weights of a full fine-tuning, in the types of the base's. Host memory holds one of them
    at a time, of all layers."""
    checkpoint.check_finished(checkpoints)
    restored = functools.lru_cache(maxsize=1)(
        lambda leaf: checkpoint.restore_param(checkpoints, leaf)
    )

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        weight = restored(leaf) if layer is None else restored(leaf)[layer]
        return weight[index].astype(base(leaf, layer, (slice(0, 0),) * weight.ndim).dtype)

    return read
