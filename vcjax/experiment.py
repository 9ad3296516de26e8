"""A whole run: inputs, plan, training, probes, report. What is done is not done again."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import pandas as pd
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax import record, sharding, stage_inputs
from vcjax.errors import InputError
from vcjax.models.architecture import known_architecture
from vcjax.plan import Plan, StageData, cost, describe, make_plan, warnings
from vcjax.probes import answer_files, answers, choice, overlap
from vcjax.record import Record
from vcjax.report.reading import analysis_sha256, check_answered
from vcjax.training import stage, trackers
from vcjax.training.loaded_model import LoadedModel, load_model, pretrained_of
from vcjax.training.throughput import expected_flops
from vcjax.weights import peft, pretrained
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import environment, files, lock, preemption, processes, stages

Load = Callable[[], LoadedModel]


def run(
    config: ConfigDict,
    folder: Path,
    workdir: epath.Path,
    dry_run: bool,
    command: Sequence[str] = (),
) -> None:
    """Runs an experiment or goes on with it; `dry_run` stops after the plan and its rows.

    folder: where the config's relative paths start; command: the flags that gave the config, for
    whoever runs it again. Raises InputError before anything is written where what was given cannot
    be used.
    """
    config = configs.resolve(config, folder)
    if dry_run and _print_estimate(config, folder):
        return
    inputs = _read_inputs(config, folder, workdir)
    plan = make_plan(config, inputs.base.identity, inputs.data)
    costs = cost(plan, _done(plan, workdir), inputs.base.architecture, config)
    stages.check_disk(workdir, costs.disk_bytes, plan.stages.keys() - _done(plan, workdir))

    with lock.hold(workdir):
        this = _record(inputs, plan, folder, workdir, command)
        _print_plan(inputs, plan, folder, workdir)
        processes.on_first(lambda: stage_inputs.write(inputs.stages, workdir))
        if dry_run:
            return
        record.write(workdir, this)
        load = functools.cache(lambda: load_model(config, inputs.base))
        _train(plan, load, folder, workdir)
        _probe(this, load, inputs.probes, workdir, "probes")
        processes.on_first(lambda: _report(workdir))


def probe_finished(workdir: epath.Path, probe_file: Path) -> None:
    """Scores one more probe file on every arm and seed of a finished run; it is exploratory."""
    this = record.read(workdir)
    if not probe_file.is_file():
        problem = "is a folder; give a file" if probe_file.is_dir() else "does not exist"
        raise InputError(f"--probes: {probe_file} {problem}")
    probes = answers.read_probes([probe_file])
    overlap.check(answers.choices(probes), stage_inputs.read_records(workdir, this.plan))
    record.check_trained(workdir, this, this.plan.stages)
    base = pretrained_of(workdir, this)
    _check_scorable(probes, base, this.config["lead"])
    check_answered(workdir, this)
    with lock.hold(workdir):
        load = functools.cache(lambda: load_model(ConfigDict(this.config), base))
        sha, _ = probes[probe_file.name]
        _probe(this, load, probes, workdir, f"probes/{sha[:16]}")
        processes.on_first(lambda: _report(workdir, sha[:16]))


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """What a run starts from. data: of each stage and seed, for the plan."""

    config: ConfigDict
    base: Pretrained
    probes: answers.Probes
    stages: dict[stage_inputs.Key, stage_inputs.StageInput]
    data: dict[stage_inputs.Key, StageData]
    mesh: jax.sharding.Mesh


def _read_inputs(config: ConfigDict, folder: Path, workdir: epath.Path) -> _Inputs:
    """Reads and checks all that the config names; writes nothing."""
    if missing := configs.missing_files(config, folder):  # a model that is not here is downloaded
        raise InputError(missing[0])
    trackers.check(config.tracker)
    base = pretrained.find(config.model, config.chat_template)
    probes = answers.read_probes(folder / path for path in config.probes)
    answers.check(probes, config)
    _check_scorable(probes, base, config.lead)
    mesh = sharding.make_mesh(config.mesh.to_dict())  # refuses one that does not fit the devices
    inputs = stage_inputs.prepare(config, base, folder, workdir, probes)
    data = {key: stage_input.data for key, stage_input in inputs.items() if stage_input.data}
    data |= stage_inputs.adapters(config, base, folder)
    return _Inputs(config, base, probes, inputs, data, mesh)


def _check_scorable(probes: answers.Probes, base: Pretrained, lead: str) -> None:
    context_length = base.architecture.context_length
    choice.check(answers.choices(probes), base.tokenizer, lead, context_length)


def _record(
    inputs: _Inputs, plan: Plan, folder: Path, workdir: epath.Path, command: Sequence[str]
) -> Record:
    """What config.json holds from now on; InputError where it, or another process, disagrees."""
    config, base, probes = inputs.config, inputs.base, inputs.probes
    as_json = configs.as_json(config)
    new = Record(
        command=list(command),
        config=as_json,
        preregistration=configs.preregistration(as_json),
        analysis=analysis_sha256(),
        development_runs=record.development_runs(config, folder),
        plan=plan,
        probes=answers.sha256_of(probes),
        first_probe=choice.as_read(next(answers.choices(probes)), base.tokenizer, config.lead),
        model=record.Base(base.identity, base.licence),
        licences=stage_inputs.stated_licences(config, inputs.stages, folder),
        numerics=vcjax.NUMERICS,
        environment=environment.describe(),
    )
    if not processes.agree(record.shared(new)):
        raise InputError(
            "--distributed: the processes do not plan the same; give each the same command, "
            "files, vcjax and packages"
        )

    def settled() -> dict:
        saved = record.find(workdir)
        if saved is None:
            return record.as_json(new)
        return record.as_json(record.going_on(workdir, saved, new, config.on_change))

    return record.parse(processes.on_first(settled))


def _print_plan(inputs: _Inputs, plan: Plan, folder: Path, workdir: epath.Path) -> None:
    done = _done(plan, workdir)
    costs = cost(plan, done, inputs.base.architecture, inputs.config)
    reached = expected_flops(inputs.mesh, inputs.config.compute_dtype) if costs.flops else None
    print(describe(plan, done, costs, reached))
    of_plan = warnings(plan, sharding.batch_shards(inputs.mesh.shape))
    for line in [*of_plan, *stage_inputs.warnings(inputs.config, folder)]:
        print(f"warning: {line}")


def _done(plan: Plan, workdir: epath.Path) -> set[str]:
    return {fingerprint for fingerprint in plan.stages if stages.is_done(workdir, fingerprint)}


def _train(plan: Plan, load: Load, folder: Path, workdir: epath.Path) -> None:
    """Trains the stages of the plan that are not done, parents first."""
    done = processes.on_first(lambda: sorted(_done(plan, workdir)))
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


def _probe(
    this: Record, load: Load, probes: answers.Probes, workdir: epath.Path, place: str
) -> None:
    """Scores every arm and seed on the probe files; a file of answers each, in workdir/place.

    An arm whose file already holds these answers is left alone; the untouched model, which is the
    same for all seeds, answers once.
    """
    asked, lead = answers.sha256_of(probes), this.config["lead"]
    last: tuple[str, pd.DataFrame] | None = None
    for arm, chains in this.plan.arms.items():
        for seed, chain in chains.items():
            name, model = f"{place}/{arm}-{seed}.parquet", this.model_of(arm, seed)
            path = workdir / name
            current = functools.partial(answer_files.is_current, path, model, lead, asked)
            if processes.on_first(current):
                continue
            preemption.stop_if_noticed()
            started = time.monotonic()
            if last is None or last[0] != model:
                loaded = load()
                params = loaded.params(workdir, chain[-1] if chain else None, seed)
                last = model, loaded.answers(params, probes, lead)
            table = last[1].assign(arm=arm, seed=seed)
            answer_files.write(path, table, answer_files.decided_by(model, lead, asked))
            seconds = time.monotonic() - started
            files.note_time(workdir, name, seconds)
            print(f"probed arm {arm}, seed {seed} in {seconds:.0f} s")


def _report(workdir: epath.Path, added_probes: str | None = None) -> None:
    from vcjax.report.page import write_report  # with matplotlib, for which no plan has to wait

    for line in write_report(workdir, added_probes):
        print(line)
    print(f"report: {workdir / 'report' / 'index.html'}")


def _print_estimate(config: ConfigDict, folder: Path) -> bool:
    """Prints a plan of what is not here, from what the config states and the model's known sizes.

    Returns whether that was needed, and could be done.
    """
    missing = configs.missing_files(config, folder)
    if not pretrained.is_here(config.model):
        missing.append(f"config.model: {config.model} is not in the hub's cache")
    architecture = known_architecture(config.model)
    names = configs.used_stages(config)
    stated = all(
        config.stages[name].kind == "adapter" or config.stages[name].stated.tokens for name in names
    )
    if not (missing and architecture and stated):
        return False
    data = {
        (name, seed): StageData.stated(name, config.stages[name])
        for name in names
        for seed in range(config.seeds)
    }
    plan = make_plan(config, config.model, data)
    print("estimated from stated counts and known sizes, since this is missing:")
    for line in missing:
        print(f"  {line}")
    print(describe(plan, set(), cost(plan, set(), architecture, config), None))
    for line in warnings(plan, batch_shards=1):  # those of this machine say nothing
        print(f"warning: {line}")
    return True
