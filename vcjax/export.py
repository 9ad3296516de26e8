"""Takes an arm of a run back to `peft` and `transformers`:

    python -m vcjax.export --workdir=DIR --arm=NAME --seed=N --format=peft|merged|base --out=DIR

peft: the adapter alone. merged: base and adapter as one model. base: the model before training (of
a .gguf file the dequantised weights), without --arm and --seed; in a run that pretrains, what the
pretraining of the arm and seed left. All come with tokenizer, chat template, generation config and
a model card.
"""

import contextlib
import functools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from etils import epath

from vcjax import command
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA, of_recipe
from vcjax.models.transformer import Model
from vcjax.record import Record, check_trained
from vcjax.report.reading import read_ordered
from vcjax.training import checkpoint
from vcjax.training.loaded_model import pretrained_of
from vcjax.weights import huggingface_out, model_card, peft, pretrained
from vcjax.weights.placement import Index, Leaf, Reader
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, stages, storage

PyTree = Any


def export(workdir: epath.Path, arm: str | None, seed: int | None, format: str, out: Path) -> None:
    """Writes the folder `out`, whole or not at all.

    format: "peft" (the adapter alone), "merged" (base and adapter as one, or all weights where all
    were trained) or "base" (the base alone; arm and seed are None, unless the arm's own pretraining
    made it). Raises InputError for an arm or seed that does not exist or is not trained, and where
    `out` would be overwritten.
    """
    record = read_ordered(workdir)
    chain = _chain(workdir, record, arm, seed, format)
    check_trained(workdir, record, chain)
    with _new_folder(out) as folder:
        base = pretrained_of(workdir, record)
        lora = _lora(record, chain)
        model = Model(base.architecture, lora, compute_dtype="float32", remat="full")
        base_weights = _base_weights(workdir, record, chain, base)
        end = None if format == "base" or arm is None else record.plan.ends.get(arm)
        last = stages.weights(workdir, chain[-1], end) if chain else None
        dtype = base_weights(("embed",), None, (slice(0, 0),) * 2).dtype.name
        config = huggingface_out.model_config(
            base.folder, dtype, base.architecture, base.tokenizer, base.family
        )
        # With a config.json `transformers` would take an adapter's folder for a whole model.
        if format == "peft":
            assert last is not None and model.lora is not None
            named = (None, None) if record.plan.pretraining(chain[-1]) else _hub_id(base)
            inside = base.family.inside
            peft.write_adapter(folder, _adapter(last, model), model.lora, *named, inside)
        else:
            weights = base_weights if last is None else _trained(base_weights, last, model)
            huggingface_out.write_weights(folder, weights, base.architecture, base.family)
            files.write_json(folder / "config.json", config)
        huggingface_out.write_tokenizer(epath.Path(folder), base.folder, base.tokenizer)
        huggingface_out.write_generation_config(folder, base.folder, config, base.tokenizer)
        model_card.write(folder, workdir, record, arm, seed, chain, end, format, base, out.name)


def _chain(
    workdir: epath.Path, record: Record, arm: str | None, seed: int | None, format: str
) -> Sequence[str]:
    """The fingerprints of the arm's stages."""
    pretrains = any(stage.kind == "pretrain" for stage in record.plan.stages.values())
    if format == "base" and not pretrains:
        if arm is not None or seed is not None:
            raise InputError("--format=base: all arms share it; leave out --arm and --seed")
        return []
    arms = record.plan.arms
    if arm not in arms:
        what = "missing" if arm is None else f"{arm!r} is none of the run's"
        raise InputError(f"--arm: {what}; {workdir} has {', '.join(arms)}")
    if seed not in arms[arm]:
        what = "missing" if seed is None else f"{seed} is none of the arm's"
        raise InputError(f"--seed: {what}; {arm} has {', '.join(map(str, arms[arm]))}")
    chain = arms[arm][seed]
    if format == "base":
        return chain[:1] if chain and record.plan.pretraining(chain[0]) else []
    if format == "peft":
        if not chain:
            raise InputError(f"--arm: {arm} has no stage, so there is no adapter; --format=base")
        if _lora(record, chain) is None:
            raise InputError(
                f"--format=peft: the last stage of {arm} trained all weights, so there is no "
                "adapter; --format=merged"
            )
    return chain


def _lora(record: Record, chain: Sequence[str]) -> LoRA | None:
    """None without stages, and where all weights were trained."""
    if not chain:
        return None
    return of_recipe(record.plan.stages[chain[-1]].recipe)


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that is renamed to `out` at the end; after an error or a kill there is no `out`."""
    storage.check_empty("out", out)
    out = out.absolute()
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an export that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _hub_id(base: Pretrained) -> tuple[str, str | None]:
    """The base's name for `transformers`, and its commit where that is a hub id, else None."""
    if Path(base.name).exists() or base.folder is None:
        return base.name, None
    return base.name.partition("@")[0], base.folder.name  # the hub's cache names folders by commit


def _base_weights(
    workdir: epath.Path, record: Record, chain: Sequence[str], base: Pretrained
) -> Reader:
    """What an arm's adapter goes on: the model's weights, or those that its pretraining left."""
    of_file = _float32 if base.path is None else pretrained.open_weights(base.path)
    pretraining = record.plan.pretraining(chain[-1]) if chain else None
    if pretraining is None:
        return of_file
    return _all_weights(of_file, stages.weights(workdir, pretraining.fingerprint))


def _float32(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
    """Of a model that starts from nothing: the type of its weights, and no more."""
    return np.zeros(0, np.float32)


def _trained(base: Reader, checkpoints: epath.Path, model: Model) -> Reader:
    """The weights after a finished stage, in the types of the base's weights."""
    if model.lora is None:
        return _all_weights(base, checkpoints)
    return _merged(base, _adapter(checkpoints, model), model.lora.scale)


def _merged(base: Reader, adapter: PyTree, scale: float) -> Reader:
    """W + scale A B, in float32."""

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        weight = base(leaf, layer, index)
        if leaf[-1] != "kernel" or leaf[1] not in adapter:
            return weight
        a, b = (adapter[leaf[1]][name][layer] for name in ("a", "b"))
        *experts, inputs, outputs = index
        added = scale * (a[*experts, inputs] @ b[*experts, :, outputs])
        return (weight.astype(np.float32) + added).astype(weight.dtype)

    return read


def _all_weights(base: Reader, checkpoints: epath.Path) -> Reader:
    """The weights of a full fine-tuning. Host memory holds one of them at a time, of all layers."""
    checkpoint.check_finished(checkpoints)
    restored = functools.lru_cache(maxsize=1)(
        lambda leaf: checkpoint.restore_param(checkpoints, leaf)
    )

    def read(leaf: Leaf, layer: int | None, index: Index) -> np.ndarray:
        weight = restored(leaf) if layer is None else restored(leaf)[layer]
        return weight[index].astype(base(leaf, layer, (slice(0, 0),) * weight.ndim).dtype)

    return read


def _adapter(checkpoints: epath.Path, model: Model) -> PyTree:
    """{projection: {a, b}}, float32 host arrays."""
    return checkpoint.restore_params(checkpoints, transformer.trained_shapes(model))["adapter"]


def main() -> None:
    values = flags.FLAGS
    out = command.path("out", values.out)
    export(storage.workdir(values.workdir), values.arm, values.seed, values.format, out)
    print(f"written: {out}")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of a run.")
    flags.DEFINE_string("arm", None, "Arm of the run (for --format=base where it pretrains).")
    flags.DEFINE_integer("seed", None, "Seed of the arm (likewise).")
    flags.DEFINE_enum("format", None, ["peft", "merged", "base"], "What to write.")
    flags.DEFINE_string("out", None, "Folder to write; one that does not exist or is empty.")
    command.run(main, required=["workdir", "format", "out"])
