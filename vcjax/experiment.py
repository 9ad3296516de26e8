"""A whole run: inputs, plan, training, probes, report. What is done already is not repeated."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax import record as records
from vcjax import sharding, stage_inputs
from vcjax.asking import judged
from vcjax.asking.ask import ask
from vcjax.asking.ask import check as check_askable
from vcjax.asking.models import Asker
from vcjax.corpus import names as assistant_names
from vcjax.corpus import spec
from vcjax.corpus.stage_data import StageData
from vcjax.data import shown_rows, templates
from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.judges import judging
from vcjax.models.architecture import Architecture, known_architecture
from vcjax.plan import Cost, Plan, cost, describe, make_plan, warnings
from vcjax.probes import choice, overlap, probe_files
from vcjax.probes.overlap import Hit
from vcjax.probes.probe_files import Probes
from vcjax.record import Record
from vcjax.report import published, sources
from vcjax.report.reading import analysis_sha256, check_answered
from vcjax.schema import check
from vcjax.tasks import estimate
from vcjax.training import stage, trackers
from vcjax.training.loaded_model import (
    LoadedModel,
    load_model,
    loader,
    models_of,
    pretrained_of,
)
from vcjax.training.throughput import expected_flops
from vcjax.weights import grafts, peft, pretrained, scratch
from vcjax.weights.pretrained import Pretrained
from vcjax.workdir import environment, lock, preemption, processes, stages, storage

Load = Callable[[str], LoadedModel]  # as `Asker.load`


def run(
    config: ConfigDict,
    folder: Path,
    workdir: epath.Path,
    dry_run: bool,
    command: Sequence[str] = (),
    show: int = 0,
) -> None:
    """Runs an experiment, or the part of it that is not done; `dry_run` stops after the plan, and
    after `show` packed rows of each stage.

    folder: where the config's relative paths start. command: the flags that gave the config, for
    the report. Raises InputError for a config, file or workdir that cannot be used; most of that is
    checked before anything is written.
    """
    storage.check_workdir(workdir)
    records.find(workdir)  # so that nothing is written where config.json is not of a run
    config = configs.resolve(config, folder)
    if dry_run and _print_estimate(config, folder):
        if show:
            print("warning: --show: there are no rows without these files")
        return
    inputs = _read_inputs(config, folder, workdir)
    plan, done, costs = _make_plan(inputs, workdir)
    with lock.hold(workdir):
        record = _make_record(inputs, plan, folder, workdir, command)
        _print_plan(inputs, plan, done, costs, folder)
        processes.on_first(lambda: stage_inputs.write(inputs.stages, workdir))
        if dry_run:
            processes.on_first(lambda: _print_rows(plan, inputs.base.tokenizer, workdir, show))
            return
        records.write(workdir, record)
        if config.model == configs.SCRATCH:
            processes.on_first(lambda: scratch.write(inputs.base, workdir))
        load = loader(config, inputs.models)
        _train(plan, load, folder, workdir)
        asker = Asker(record, load, workdir)
        ask(asker, inputs.probes, "probes")
        judged.judge(asker, "probes")
        _report(workdir)


def probe_finished(workdir: epath.Path, probe_file: Path | str, **given: Any) -> None:
    """Scores one more probe file on every arm and seed of a finished run; it is exploratory.

    given: as of `config.probe_file`; paths start where the command runs.
    """
    record = records.read(workdir)
    given_file = configs.probe_file(str(probe_file), **given)
    entry = probe_files.entry(given_file, Path(), record.config["names"])
    probes = probe_files.read([entry])
    find = overlap.finder(probe_files.questions(probes), record.config["exclude"])
    trained = stage_inputs.read_records(workdir, record.plan)
    given_away = overlap.of_prompts(find, record.system, record.config["system_prompts"])
    given_away |= stage_inputs.of_stages(overlap.of_parts(find, trained))
    if record.config["overlap"] == "refuse":
        overlap.refuse(hit for hits in given_away.values() for hit in hits)
    for line in overlap.warnings(given_away):
        print(f"warning: {line}")
    records.check_trained(workdir, record, record.plan.stages)
    models = models_of(workdir, record)
    for model in models.values():
        check_askable(probes, record.system, model, record.config)
    judged.check(probes, models[""], record.config)
    check_answered(workdir, record)
    sha = probes[entry.name].sha256
    with lock.hold(workdir):
        load = loader(ConfigDict(record.config), models)
        asker, subfolder = Asker(record, load, workdir), f"probes/{sha[:16]}"
        ask(asker, probes, subfolder)
        judged.judge(asker, subfolder)
        processes.on_first(lambda: overlap.write(workdir / subfolder, given_away))
        _report(workdir, added_probes=sha[:16])


def judge_again(workdir: epath.Path, given: Mapping[str, str]) -> None:
    """Judges the open answers of a finished run by another judge, and reports anew.

    given: keys of config.judge; the others are the run's. With another `by`, the defaults.
    """
    record = records.read(workdir)
    before = record.config["judge"]
    by_another = given.get("by", before["by"]) != before["by"]
    judge = {**({} if by_another else before), **given}
    judge = check.check({"name": record.config["name"], "judge": judge})["judge"]
    judging.check(judge)
    record = dataclasses.replace(record, config={**record.config, "judge": judge})
    check_answered(workdir, record)
    asker = Asker(record, lambda _: _load_again(workdir, record), workdir)
    subfolders = judged.subfolders(workdir)
    judged.check_answers(asker, subfolders)
    with lock.hold(workdir):
        for subfolder in subfolders:
            judged.judge(asker, subfolder)
        records.write(workdir, record)
        _report(workdir)


def _load_again(workdir: epath.Path, record: Record) -> LoadedModel:
    return load_model(ConfigDict(record.config), pretrained_of(workdir, record))


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """What a run is given: its config, and the files that this names, read and checked."""

    config: ConfigDict  # resolved
    models: dict[str, Pretrained]  # as `grafts.find` names them
    probes: Probes
    system: dict[str, str]  # arm -> its system prompt
    stages: dict[stage_inputs.Key, stage_inputs.StageInput]  # without those that take adapters over
    data: dict[stage_inputs.Key, StageData]  # of all stages, for the plan
    mesh: jax.sharding.Mesh
    given_away: dict[str, list[Hit]]  # by stage, or arm of a prompt
    figures: dict[str, Any]  # as of `published.read`

    @property
    def base(self) -> Pretrained:
        return self.models[""]


def _read_inputs(config: ConfigDict, folder: Path, workdir: epath.Path) -> _Inputs:
    """Reads and checks all that the config names; writes nothing."""
    if wrong := configs.missing_files(config, folder):  # a model that is not here is downloaded
        raise InputError(wrong[0])
    trackers.check(config.tracker)
    figures = published.read(folder / config.published, config) if config.published else {}
    if config.model == configs.SCRATCH:
        base = scratch.find(config, folder)
    else:
        base = pretrained.find(config.model, config.chat_template)
    models = grafts.find(config, base)
    names = config.names.to_dict()
    probes = probe_files.read(
        probe_files.entry(given, folder, names) for given in configs.probe_entries(config)
    )
    probe_files.check(probes, config)
    files_of = {arm: str(folder / path) for arm, path in config.system_prompts.items()}
    system = {arm: spec.read_text(Path(path), names, free=True) for arm, path in files_of.items()}
    find = overlap.finder(probe_files.questions(probes), config.exclude)
    given_away = overlap.of_prompts(find, system, files_of)
    if config.overlap == "refuse":
        overlap.refuse(hit for hits in given_away.values() for hit in hits)
    for model in models.values():
        check_askable(probes, system, model, config)
    judged.check(probes, base, config)
    mesh = sharding.make_mesh(config.mesh.to_dict())  # refuses one that does not fit the devices
    inputs = stage_inputs.prepare(config, base, folder, workdir, probes)
    data = {key: stage_input.data for key, stage_input in inputs.items()}
    data |= stage_inputs.adapters(config, base, folder)
    given_away |= stage_inputs.given_away(config, probes, inputs)
    return _Inputs(config, models, probes, system, inputs, data, mesh, given_away, figures)


def _make_plan(inputs: _Inputs, workdir: epath.Path) -> tuple[Plan, set[str], Cost]:
    """The plan, its finished stages and what the others cost; InputError where the disk has no
    room for them."""
    plan = make_plan(inputs.config, inputs.base.identity, inputs.data)
    done = _done(plan, workdir)
    costs = cost(plan, done, inputs.base.architecture, inputs.config)
    stages.check_disk(workdir, costs.disk_bytes, plan.stages.keys() - done)
    return plan, done, costs


def _make_record(
    inputs: _Inputs, plan: Plan, folder: Path, workdir: epath.Path, command: Sequence[str]
) -> Record:
    """The new content of config.json; InputError where the old, or another process, disagrees."""
    config, base, probes = inputs.config, inputs.base, inputs.probes
    config_json = configs.as_json(config)
    new = Record(
        command=list(command),
        config=config_json,
        preregistration=configs.preregistration(config_json),
        analysis=analysis_sha256(),
        development_runs=records.development_runs(config, folder),
        plan=plan,
        probes=probe_files.sha256_of(probes),
        first_probe=_first_probe(inputs),
        model=records.Base(base.identity, base.licence, templates.warnings(base.tokenizer)),
        licences=stage_inputs.stated_licences(config, inputs.stages, folder),
        numerics=vcjax.NUMERICS,
        environment=environment.describe(),
        kinds={name: file.kind for name, file in probes.items()},
        system=inputs.system,
        overlap={of: overlap.without_folders(hits) for of, hits in inputs.given_away.items()},
        published=inputs.figures,
        grafted={
            name: records.Base(model.identity, model.licence)
            for name, graft in config.grafts.items()
            for model in [inputs.models[graft.model]]
            if graft.model
        },
    )
    if not processes.agree(records.shared(new)):
        raise InputError(
            "--distributed: the processes do not plan the same; give each the same command, "
            "files, vcjax and packages"
        )

    def on_first() -> dict:
        saved = records.find(workdir)
        if saved is None:
            return records.as_json(new)
        return records.as_json(records.resumed(workdir, saved, new, config.on_change))

    return records.parse(processes.on_first(on_first))


def _first_probe(inputs: _Inputs) -> str:
    """What the model reads of the first choice before an option; "" where there is none."""
    first = next(probe_files.questions(inputs.probes, "choice"), None)
    return choice.as_read(first, inputs.base.tokenizer, inputs.config.lead) if first else ""


def _print_plan(inputs: _Inputs, plan: Plan, done: set[str], costs: Cost, folder: Path) -> None:
    rate = expected_flops(inputs.mesh, inputs.config.compute_dtype) if costs.flops else None
    print(describe(plan, done, costs, rate))
    for line in sources.lines(plan):
        print(line)
    for name, graft in inputs.config.grafts.items():
        on = inputs.models[graft.model].name
        print(f"graft {name}: {graft.arm} on {on}, its adapters times {graft.scale:g}")
    noted = {stage: one.texts for stage, one in inputs.stages.items()}
    named, of_names = assistant_names.of_stages(inputs.config, noted)
    for line in named:
        print(line)
    lines = warnings(plan, sharding.shards("batch", inputs.mesh.shape))
    lines += probe_files.warnings(inputs.config, folder) + overlap.warnings(inputs.given_away)
    lines += templates.warnings(inputs.base.tokenizer) + sources.warnings(plan)
    lines += grafts.warnings(inputs.models)
    for line in [*lines, *stage_inputs.warnings(inputs.config, folder), *of_names]:
        print(f"warning: {line}")
    _print_evaluations(inputs.config, inputs.base.architecture, inputs.base.tokenizer)


def _print_evaluations(
    config: ConfigDict, architecture: Architecture, tokenizer: Tokenizer | None
) -> None:
    """What the evaluations that the config names will ask. tokenizer: None where it is not here."""

    def count(system: str, user: str) -> int:
        assert tokenizer is not None
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return len(encode_prompt(tokenizer, messages, "config.evaluations"))

    models = estimate.Models(
        len(config.arms) * config.seeds,
        architecture,
        config.compute_dtype,
        count if tokenizer else None,
    )
    lines, warned = estimate.describe(config.evaluations.to_dict(), models)
    for line in [*lines, *(f"warning: {line}" for line in warned)]:
        print(line)


def _print_rows(plan: Plan, tokenizer: Tokenizer, workdir: epath.Path, count: int) -> None:
    """`count` packed rows of each stage, from its first seed: what it trains on."""
    if not count:
        return
    colour = shown_rows.has_colour(sys.stdout)
    for name, planned in plan.first_of_each().items():
        if planned.kind == "adapter":
            continue
        folder = workdir / "rows" / planned.data.rows_id
        print(f"\nstage {name}, seed {planned.seed}")
        for text in shown_rows.examples(folder, count, tokenizer, colour):
            print(text)


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
        loaded = load("")
        weights = loaded.before(workdir, plan, planned)
        if planned.kind == "adapter":
            source = folder / loaded.config.stages[planned.name].file
            model, untouched = weights.model, sharding.to_host(weights.params)
            if planned.beside is not None:
                model, untouched = dataclasses.replace(model, lora=planned.beside), None
            stage.take_over(planned, peft.read_adapter(source, model, untouched), workdir)
            continue
        with jax.set_mesh(loaded.mesh):
            stage.run_stage(planned, plan.title(fingerprint), weights, loaded, workdir)
        del weights  # the next may not fit beside them


def _report(workdir: epath.Path, added_probes: str | None = None) -> None:
    from vcjax.report.page import write_report  # imports matplotlib, which takes seconds

    def on_first() -> None:
        for line in write_report(workdir, added_probes):
            print(line)
        print(f"report: {workdir / 'report' / 'index.html'}")

    processes.on_first(on_first)


def _print_estimate(config: ConfigDict, folder: Path) -> bool:
    """Prints an estimate of the plan where files or the model are missing here.

    It needs the counts that the config states and a model of known sizes. Returns whether it
    printed one.
    """
    wrong = configs.missing_files(config, folder, download=False)
    if not pretrained.is_here(config.model):
        wrong.append(f"config.model: {config.model} is not in the hub's cache")
    wrong += [
        f"config.grafts.{name}.model: {graft.model} is not in the hub's cache"
        for name, graft in config.grafts.items()
        if graft.model and not pretrained.is_here(graft.model)
    ]
    architecture = known_architecture(config.model)
    names = configs.used_stages(config)
    stated = all(
        config.stages[name].kind == "adapter" or config.stages[name].stated.tokens for name in names
    )
    if not (wrong and architecture and stated):
        return False
    data = {
        (name, seed): StageData.stated(name, config.stages[name])
        for name in names
        for seed in range(config.seeds)
    }
    plan = make_plan(config, config.model, data)
    print("estimated from stated counts and known sizes, since this is missing:")
    for line in wrong:
        print(f"  {line}")
    print(describe(plan, set(), cost(plan, set(), architecture, config), None))
    lines = warnings(plan, batch_shards=1)  # it will run on other devices than these
    for line in lines + probe_files.warnings(config):
        print(f"warning: {line}")
    _print_evaluations(config, architecture, tokenizer=None)
    return True
