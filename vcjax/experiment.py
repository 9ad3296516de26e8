"""Writes the rows, makes the plan, carries it out; what is done is not done again."""

import functools
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
from etils import epath
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import record, sharding, stage_inputs
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, known_architecture
from vcjax.plan import Plan, StageData, cost, describe, make_plan, warnings
from vcjax.probes import answers, overlap
from vcjax.report.page import write_report
from vcjax.report.reading import check_answered, read_run
from vcjax.training import stage
from vcjax.training.loaded_model import Loaded, load_model
from vcjax.training.throughput import expected_flops
from vcjax.weights import peft, pretrained
from vcjax.workdir import files, lock, preemption, processes, storage


def run(
    config: ConfigDict,
    folder: Path,
    workdir: epath.Path,
    dry_run: bool,
    command: Sequence[str] = (),
) -> None:
    """Runs an experiment or goes on with it; `dry_run` stops after the plan and its rows.

    folder: where the config's relative paths start; command: the flags that gave the config, for
    who wants to run it again. Raises InputError before anything is written
    where what was given cannot be used.
    """
    config = configs.resolve(config, folder)
    missing = configs.missing_files(config, folder)
    not_here = list(missing)
    if not pretrained.is_here(config.model):
        not_here.append(f"config.model: {config.model} is not in the hub's cache")
    architecture = known_architecture(config.model)
    if dry_run and not_here and architecture and _is_stated(config):
        _print_estimate(config, architecture, not_here)
        return
    if missing:  # a model that is not here is downloaded
        raise InputError(missing[0])
    found = pretrained.find(config.model, config.chat_template)
    probes = answers.read_probes(folder / p for p in config.probes)
    _check_toward(config, probes)
    _check_excluded(config, probes)
    mesh = sharding.make_mesh(config.mesh.to_dict())  # refuses one that does not fit the devices
    packed = stage_inputs.pack_all(config, found, folder)
    records = [record for p in packed.values() for record in p.train_records]
    overlap.check(answers.choices(probes), records)
    data = {key: p.facts for key, p in packed.items()} | stage_inputs.adapters(
        config, found, folder
    )
    plan = make_plan(config, found.identity, data)
    done = {f for f in plan.stages if stage.is_done(workdir, f)}
    costs = cost(plan, done, found.architecture, config)
    _check_disk(workdir, costs.disk_bytes, plan.stages.keys() - done)

    with lock.hold(workdir):
        saved = files.read_json(workdir / "config.json")
        facts = record.describe(config, plan, found, probes, records, saved, folder, command)
        if not processes.agree(record.shared(facts)):
            raise InputError(
                "--distributed: the processes do not plan the same; give each the same command, "
                "files, vcjax and packages"
            )
        if saved is not None:
            facts = processes.on_first(lambda: record.going_on(workdir, saved, facts, config))
        reached = expected_flops(mesh, config.compute_dtype) if costs.flops else None
        print(describe(plan, done, costs, reached))
        strange = stage_inputs.warnings(config, folder)
        for line in [*warnings(plan, sharding.batch_shards(mesh.shape)), *strange]:
            print(f"warning: {line}")
        processes.on_first(lambda: _write_rows(packed, workdir))
        if dry_run:
            return
        files.write_json(workdir / "config.json", facts)
        load = functools.cache(lambda: load_model(config, found))
        _train(plan, load, folder, workdir)
        answers.probe_arms(facts, load, probes, workdir, "probes")
        processes.on_first(lambda: _report(workdir))


def probe_finished(workdir: epath.Path, probe_file: Path) -> None:
    """Scores one more probe file on every arm and seed of a finished run; it is exploratory."""
    saved = read_run(workdir)
    if not probe_file.is_file():
        raise InputError(f"--probes: {probe_file} does not exist")
    probes = answers.read_probes([probe_file])
    overlap.check(answers.choices(probes), record.trained_records(workdir, saved))
    record.check_trained(workdir, saved, saved["plan"]["stages"])
    found = record.find_model(workdir, saved)
    check_answered(workdir, saved)
    with lock.hold(workdir):
        load = functools.cache(lambda: load_model(ConfigDict(saved["config"]), found))
        sha, _ = probes[probe_file.name]
        answers.probe_arms(saved, load, probes, workdir, f"probes/{sha[:16]}")
        _report(workdir)


def _write_rows(
    packed: dict[tuple[str, int], stage_inputs.PackedStage], workdir: epath.Path
) -> None:
    for stage_rows in packed.values():
        stage_rows.write(workdir)


def _report(workdir: epath.Path) -> None:
    for line in write_report(workdir):
        print(line)
    print(f"report: {workdir / 'report' / 'index.html'}")


def _is_stated(config: ConfigDict) -> bool:
    """Whether the config states of each stage what it holds, so that a plan can be estimated."""
    stages = [config.stages[name] for name in configs.used_stages(config)]
    return all(stage.kind == "adapter" or stage.stated.tokens for stage in stages)


def _print_estimate(config: ConfigDict, architecture: Architecture, missing: list[str]) -> None:
    """The plan of what is not here, from what the config states and the model's known shape."""
    facts = {
        (name, seed): StageData.stated(name, config.stages[name])
        for name in configs.used_stages(config)
        for seed in range(config.seeds)
    }
    plan = make_plan(config, config.model, facts)
    costs = cost(plan, set(), architecture, config)
    print("estimated from stated counts and known sizes, since this is missing:")
    for line in missing:
        print(f"  {line}")
    print(describe(plan, set(), costs, None))
    for line in warnings(plan, batch_shards=1):  # those of this machine say nothing
        print(f"warning: {line}")


def _check_toward(config: ConfigDict, probes: answers.Probes) -> None:
    """Raises InputError where no probe could answer the primary contrast."""
    values = {
        value
        for probe in answers.choices(probes)
        for value in probe.values
        if (probe.contrast, probe.scope, probe.split) == ("values", "out_of_domain", "held_out")
        and probe.id not in config.exclude
    }
    if config.toward not in values:
        raise InputError(
            f"config.toward: no held-out probe outside the training domain sets {config.toward!r} "
            "against another value, so the primary contrast would have no answer; such probes have "
            f"{', '.join(sorted(filter(None, values))) or 'no value at all'}"
        )


def _check_excluded(config: ConfigDict, probes: answers.Probes) -> None:
    known = {probe.id for probe in answers.choices(probes)}
    for name in config.exclude:
        if name not in known:
            raise InputError(f"config.exclude: no probe has the id {name!r}; correct it")


def _check_disk(workdir: epath.Path, needed: int, unfinished: Iterable[str]) -> None:
    """Raises InputError where `needed` bytes are neither free nor held by unfinished stages."""
    if not storage.is_local(workdir):
        return
    place = Path(workdir).absolute()
    existing = next(path for path in (place, *place.parents) if path.exists())
    begun = [place / "stages" / fingerprint for fingerprint in unfinished]
    held = [path for folder in begun for path in folder.rglob("*") if path.is_file()]
    free = shutil.disk_usage(existing).free + sum(path.stat().st_size for path in held)
    if free < needed:
        raise InputError(
            f"{workdir}: {free / 1e9:.1f} GB are free, the plan needs about {needed / 1e9:.1f} GB; "
            "free some, lower config.keep_checkpoints or give another --workdir"
        )


def _train(plan: Plan, load: Callable[[], Loaded], folder: Path, workdir: epath.Path) -> None:
    """Trains the stages of the plan that are not done, parents first."""
    done = processes.on_first(lambda: [f for f in plan.stages if stage.is_done(workdir, f)])
    for number, (fingerprint, planned) in enumerate(plan.stages.items(), start=1):
        if fingerprint in done:
            continue
        preemption.stop_if_noticed()
        print(f"stage {number} of {len(plan.stages)}: {plan.title(fingerprint)}")
        loaded = load()
        params = loaded.params(workdir, planned.parent, planned.seed)
        if planned.kind == "adapter":
            source = folder / loaded.config.stages[planned.name].file
            untouched = sharding.to_host(params)
            stage.take_over(planned, peft.read_adapter(source, loaded.model, untouched), workdir)
            continue
        with jax.set_mesh(loaded.mesh):
            stage.run_stage(planned, plan.title(fingerprint), params, loaded, workdir)
