"""Takes arms of a run back to `peft` and `transformers`:

    python -m vcjax.export --workdir=DIR --arm=NAME --seed=N --format=peft|merged|base --out=DIR

peft: the adapter alone. merged: base and adapter as one model. base: the model before training (of
a .gguf file the dequantised weights), without --arm and --seed; in a run that pretrains, what the
pretraining of the arm and seed left. All come with tokenizer, chat template, generation config and
a model card. --arm=all and --seed=all write a folder ARM-SEED for each model into --out, and for
adapters the command that serves them together. --push=organisation/name uploads to the hub.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from etils import epath

from vcjax import command
from vcjax import config as configs
from vcjax.errors import InputError
from vcjax.models import lora as loras
from vcjax.record import Record, check_trained
from vcjax.report.reading import read_ordered
from vcjax.training import host_weights
from vcjax.training.loaded_model import models_of, pretrained_of
from vcjax.weights import hub_upload, huggingface_out, model_card, peft, vllm
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import files, stages, storage

ALL = "all"  # of --arm and --seed
VLLM = "vllm.txt"  # beside the folders of several adapters
Seed = int | str | None  # what --seed gives: a number, or ALL


class Exported(NamedTuple):
    """A model that is written. arm, seed: None for the base that all share. chain: fingerprints of
    the stages that its weights went through; end: the update of the last one at which they were
    taken, None: its end."""

    arm: str | None
    seed: int | None
    chain: tuple[str, ...]
    end: int | None

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.seed}"

    @property
    def last(self) -> str | None:
        return self.chain[-1] if self.chain else None


def export(workdir: epath.Path, arm: str | None, seed: int | None, format: str, out: Path) -> None:
    """Writes the folder `out`, whole or not at all.

    format: "peft" (the adapter alone), "merged" (base and adapter as one, or all weights where all
    were trained) or "base" (the base alone; arm and seed are None, unless the arm's own pretraining
    made it). Raises InputError for an arm or seed that does not exist or is not trained, and where
    `out` would be overwritten.
    """
    record = read_ordered(workdir)
    model = _exported(workdir, record, arm, seed, format)
    check_trained(workdir, record, model.chain)
    with _new_folder(out) as folder:
        name = record.base_of(arm)
        base = models_of(workdir, record)[name] if name else pretrained_of(workdir, record)
        _write(folder, workdir, record, model, format, base, out.name)


def export_all(workdir: epath.Path, arm: str | None, seed: Seed, format: str, out: Path) -> None:
    """Writes into `out` the folders of `several`, all or none, and for adapters the file VLLM.

    Raises InputError as `export`.
    """
    record = read_ordered(workdir)
    models = several(workdir, record, arm, seed, format)
    check_trained(workdir, record, dict.fromkeys(f for model in models for f in model.chain))
    found = models_of(workdir, record)
    with _new_folder(out) as folder:
        for model in models:
            (folder / model.name).mkdir()
            base = found[record.base_of(model.arm)]
            _write(folder / model.name, workdir, record, model, format, base, model.name)
        if format == "peft":
            lines = _serving(workdir, record, models, found, out)
            files.write_text(folder / VLLM, "\n".join(lines) + "\n")


def several(
    workdir: epath.Path, record: Record, arm: str | None, seed: Seed, format: str
) -> list[Exported]:
    """The models of an arm and a seed, either of which may be `ALL`; each is written to a folder
    ARM-SEED. Of those with the same weights it is the first, of all arms those with an adapter
    where adapters are asked for."""
    arms = record.plan.arms
    names = [*arms] if arm == ALL else [arm or ""]
    if arm == ALL and format == "peft":
        names = [name for name in names if _has_adapter(record, name)]
    models: dict[str, Exported] = {}
    for name in names:
        seeds: list[Any] = [*arms.get(name, [None])] if seed == ALL else [seed]
        for number in seeds:
            model = _exported(workdir, record, name, number, format)
            weights = str(model.chain) if format == "base" else record.weights_of(name, number)
            models.setdefault(weights, model)
    if not models:
        raise InputError(f"--arm={ALL}: no arm of {workdir} has an adapter; --format=merged")
    return [*models.values()]


def _has_adapter(record: Record, arm: str) -> bool:
    """Whether an arm of the run adds an adapter to its base."""
    chain = record.plan.arms[arm][0]
    scale = configs.scale_of(record.config, arm)
    return bool(chain) and scale != 0 and host_weights.lora_of(record.plan, chain[-1]) is not None


def _exported(
    workdir: epath.Path, record: Record, arm: str | None, seed: int | None, format: str
) -> Exported:
    """The model of an arm and seed; InputError where there is none of this format."""
    pretrains = any(stage.kind == "pretrain" for stage in record.plan.stages.values())
    if format == "base" and not pretrains:
        if arm is not None or seed is not None:
            raise InputError("--format=base: all arms share it; leave out --arm and --seed")
        return Exported(None, None, (), None)
    arms = record.plan.arms
    if arm not in arms:
        what = f"{arm!r} is none of the run's" if arm else "missing"
        raise InputError(f"--arm: {what}; {workdir} has {', '.join(arms)}")
    if seed not in arms[arm]:
        what = "missing" if seed is None else f"{seed} is none of the arm's"
        raise InputError(f"--seed: {what}; {arm} has {', '.join(map(str, arms[arm]))}")
    chain, end = arms[arm][seed], record.plan.ends.get(arm)
    if format == "peft" and not _has_adapter(record, arm):
        if not chain:
            raise InputError(f"--arm: {arm} has no stage, so there is no adapter; --format=base")
        if configs.scale_of(record.config, arm) == 0:
            raise InputError(
                f"--arm: the adapters of {arm} are times 0, so there is none; --format=merged"
            )
        raise InputError(
            f"--format=peft: the last stage of {arm} trained all weights, so there is no "
            "adapter; --format=merged"
        )
    if format == "base" or configs.scale_of(record.config, arm) == 0:
        pretrained = bool(chain) and record.plan.pretraining(chain[0]) is not None
        chain, end = chain[:1] if pretrained else (), None
    return Exported(arm, seed, tuple(chain), end)


def _write(
    folder: Path,
    workdir: epath.Path,
    record: Record,
    model: Exported,
    format: str,
    base: Pretrained,
    out: str,
) -> None:
    """Writes one model's files into a folder whose name will be `out`."""
    plan, last = record.plan, model.last
    lora = None if last is None else host_weights.lora_of(plan, last)
    weights = host_weights.base(workdir, plan, last, base)
    dtype = weights(("embed",), None, (slice(0, 0),) * 2).dtype.name
    config = huggingface_out.model_config(
        base.folder, dtype, base.architecture, base.tokenizer, base.family
    )
    adapter = None
    if last is not None and lora is not None and format != "base":
        adapter = host_weights.adapter(workdir, plan, last, model.end, base.architecture)
        scale = configs.scale_of(record.config, model.arm)
        adapter = adapter if scale == 1 else loras.scaled(adapter, scale)
    if format == "peft":
        assert adapter is not None and lora is not None and last is not None
        # With a config.json `transformers` would take an adapter's folder for a whole model.
        named, revision = (None, None) if plan.pretraining(last) else _hub_id(base)
        peft.write_adapter(folder, adapter, lora, named, revision, base.family.inside)
    else:
        if adapter is not None and lora is not None:
            weights = host_weights.merged(weights, adapter, lora.scale)
        elif last is not None and format != "base":
            weights = host_weights.all_weights(weights, stages.weights(workdir, last, model.end))
        huggingface_out.write_weights(folder, weights, base.architecture, base.family)
        files.write_json(folder / "config.json", config)
    huggingface_out.write_tokenizer(epath.Path(folder), base.folder, base.tokenizer)
    huggingface_out.write_generation_config(folder, base.folder, config, base.tokenizer)
    model_card.write(folder, workdir, record, *model, lora, format, base, out)


def _serving(
    workdir: epath.Path,
    record: Record,
    models: list[Exported],
    found: dict[str, Pretrained],
    out: Path,
) -> list[str]:
    """The command that serves the adapters together, for each base that they stand on."""
    of_base: dict[tuple[str, str | None], list[Exported]] = {}
    for model in models:
        first = record.plan.pretraining(model.chain[-1])
        key = record.base_of(model.arm), None if first is None else first.fingerprint
        of_base.setdefault(key, []).append(model)
    lines = []
    for (name, pretraining), group in of_base.items():
        base = found[name]
        served, revision = _hub_id(base)
        if pretraining is not None or base.folder is None:
            of = f" --arm={group[0].arm} --seed={group[0].seed}" if pretraining else ""
            lines.append(
                f"# BASE: python -m vcjax.export --workdir={workdir} --format=base{of} --out=BASE"
            )
            served, revision = "BASE", None
        untouched = record.untouched(name)
        adapters = [host_weights.lora_of(record.plan, model.chain[-1]) for model in group]
        template = record.config["chat_template"]
        is_given = template != "" and template == base.tokenizer.chat_template
        lines.append(
            vllm.command(
                served,
                revision,
                {model.name: out / model.name for model in group},
                max(lora.rank for lora in adapters if lora is not None),
                out / group[0].name / "chat_template.jinja" if is_given else None,
                None if pretraining or untouched is None else f"{untouched}-0",
            )
        )
    return lines


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


def main() -> None:
    values = flags.FLAGS
    out, workdir = command.path("out", values.out), storage.workdir(values.workdir)
    seed = _seed(values.seed)
    of: Any = (values.arm, seed, values.format)
    is_one = ALL not in (values.arm, seed)
    folders = {}  # repository -> what goes there
    if values.push is not None and is_one:
        folders = {values.push: out}
    elif values.push is not None:
        models = several(workdir, read_ordered(workdir), *of)
        folders = {f"{values.push}-{model.name}": out / model.name for model in models}
    if folders:
        hub_upload.check([*folders])
    write: Callable[..., None] = export if is_one else export_all
    write(workdir, *of, out)
    print(f"written: {out}")
    if (out / VLLM).exists():
        print((out / VLLM).read_text(encoding="utf-8"), end="")
    for repository, folder in folders.items():
        print(f"uploaded: {hub_upload.upload(folder, repository)}")


def _seed(given: str | None) -> Seed:
    if given is None or given == ALL:
        return given
    if not (given.isascii() and given.isdigit()):
        raise InputError(f"--seed={given}: expected a number, or {ALL}")
    return int(given)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "Folder of a run.")
    flags.DEFINE_string(
        "arm", None, f"Arm of the run (for --format=base where it pretrains), or {ALL}."
    )
    flags.DEFINE_string("seed", None, f"Seed of the arm (likewise), or {ALL}.")
    flags.DEFINE_enum("format", None, ["peft", "merged", "base"], "What to write.")
    flags.DEFINE_string("out", None, "Folder to write; one that does not exist or is empty.")
    flags.DEFINE_string(
        "push", None, f"organisation/name to upload it to; with {ALL} -ARM-SEED follows the name."
    )
    command.run(main, required=["workdir", "format", "out"])
