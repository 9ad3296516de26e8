"""Writes the rows, makes the plan, carries it out; what is done is not done again."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax import files, finished, lock, sharding, stage
from vcjax.data import probe_files, records, rows
from vcjax.data.formats import Document
from vcjax.data.packing import Packed, pack
from vcjax.errors import InputError
from vcjax.loaded import Loaded, load_model
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.shapes import KNOWN
from vcjax.models.transformer import Model
from vcjax.plan import Plan, StageData, cost, describe, make_plan, warnings
from vcjax.probes import choice, overlap
from vcjax.report.page import write_report
from vcjax.weights import peft, pretrained
from vcjax.weights.pretrained import Pretrained

PyTree = Any
Probes = dict[str, tuple[str, list[probe_files.ChoiceProbe]]]  # file name -> sha256, probes

MATMUL_SHARE = 0.5  # of the speed of a large matmul that training reaches (measured: .4 to .6)


def run(config: ConfigDict, folder: Path, workdir: Path, dry_run: bool) -> None:
    """Runs an experiment or goes on with it; `dry_run` stops after the plan and its rows.

    folder: where the config's relative paths start. Raises InputError before anything is written
    where what was given cannot be used.
    """
    config = configs.resolve(config, folder)
    missing = configs.missing_files(config, folder)
    if not pretrained.is_here(config.model):
        missing.append(f"config.model: {config.model} is not in the hub's cache")
    if dry_run and missing and _is_stated(config):
        _print_estimate(config, missing)
        return
    missing = configs.missing_files(config, folder)  # a model that is not here is downloaded
    if missing:
        raise InputError(missing[0])
    found = pretrained.find(config.model, config.chat_template)
    probes = _read_probes(folder / p for p in config.probes)
    _check_toward(config, probes)
    sharding.make_mesh(config.mesh.to_dict())  # refuses a mesh that does not fit these devices
    packed = _pack_all(config, found, folder)
    overlap.check(
        [probe for _, items in probes.values() for probe in items],
        [r for p in packed.values() for r in p.train_records if isinstance(r, Document)],
    )
    data = {key: p.facts for key, p in packed.items()} | _adapters(config, found, folder)
    plan = make_plan(config, found.identity, data)
    done = {f for f in plan.stages if stage.is_done(workdir, f)}
    costs = cost(plan, done, found.shape, config)
    _check_disk(workdir, costs.disk_bytes)

    with lock.hold(workdir):
        saved = files.read_json(workdir / "config.json")
        facts = _provenance(config, plan, found, probes, saved)
        changed = saved is None or _check_changes(workdir, saved, facts, config)
        print(describe(plan, done, costs, _flops_per_second(config.compute_dtype)))
        for line in warnings(plan):
            print(f"warning: {line}")
        for stage_rows in packed.values():
            stage_rows.write(workdir)
        if dry_run:
            return
        if changed:  # else it keeps the versions and the commit that trained
            files.write_json(workdir / "config.json", facts)
        load = functools.cache(lambda: load_model(config, found))
        _train(plan, load, folder, workdir)
        _probe(plan.arms, load, probes, _untouched_id(facts), config.lead, workdir, "probes")
        _report(workdir)


def probe_finished(workdir: Path, probe_file: Path) -> None:
    """Scores one more probe file on every arm and seed of a finished run; it is exploratory."""
    saved = finished.read(workdir)
    if not probe_file.is_file():
        raise InputError(f"--probes: {probe_file} does not exist")
    probes = _read_probes([probe_file])
    finished.check_trained(workdir, saved, saved["plan"]["stages"])
    config = ConfigDict(saved["config"])
    found = finished.find_model(workdir, saved)
    with lock.hold(workdir):
        load = functools.cache(lambda: load_model(config, found))
        sha, _ = probes[probe_file.name]
        place = f"probes/{sha[:16]}"
        arms = saved["plan"]["arms"]
        _probe(arms, load, probes, _untouched_id(saved), config.lead, workdir, place)
        _report(workdir)


def _report(workdir: Path) -> None:
    for line in write_report(workdir):
        print(line)
    print(f"report: {workdir / 'report' / 'index.html'}")


# --- Data


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
        return StageData(
            rows_id=rows.content_hash(self.train)[:16],
            held_out_id=rows.content_hash(self.held_out)[:16] if self.held_out else None,
            rows=int(counts["rows"]),
            documents=int(counts["documents"]),
            held_out_documents=len(self.held_out_records),
            tokens=int(counts["tokens"]),
            weighted_tokens=round(counts["weighted_tokens"]),
            split_documents=int(counts["split_documents"]),
        )

    def write(self, workdir: Path) -> None:
        """Writes what is not there yet; rows are named by their content and never change."""
        parts = [(self.facts.rows_id, self.train, self.train_records)]
        if self.held_out and self.facts.held_out_id:
            parts.append((self.facts.held_out_id, self.held_out, self.held_out_records))
        for rows_id, packed, from_records in parts:
            folder = workdir / "rows" / rows_id
            if not folder.exists():
                rows.write_rows(folder, packed, from_records)


def _pack_all(
    config: ConfigDict, found: Pretrained, folder: Path
) -> dict[tuple[str, int], PackedStage]:
    """(stage name, seed) -> its packed rows, for every stage that an arm uses."""
    packed = {}
    for name in configs.used_stages(config):
        settings = config.stages[name]
        if settings.kind == "adapter":
            continue
        thinking = settings.get("thinking", False)
        if settings.length > found.shape.context_length:
            raise InputError(
                f"config.stages.{name}.length: {settings.length} is longer than the model's "
                f"context of {found.shape.context_length} tokens"
            )
        for seed in range(config.seeds):
            kept, held_out = records.stage_records(settings, seed, config, folder)
            train, test = (
                pack(
                    records.encode(found.tokenizer, part, thinking),
                    settings.length,
                    settings.overlong,
                )
                if part
                else None
                for part in (kept, held_out)
            )
            assert train is not None
            packed[name, seed] = PackedStage(train, kept, test, held_out)
    return packed


def _adapters(
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
            sizes = transformer.weight_shapes(model)["adapter"]
            zeros = jax.tree.map(np.zeros, sizes, is_leaf=lambda x: isinstance(x, tuple))
            peft.read_adapter(source, model, {"adapter": zeros})
            identity = peft.identity(source)[:16]
            facts |= {(name, seed): StageData.nothing(identity) for seed in range(config.seeds)}
    return facts


def _is_stated(config: ConfigDict) -> bool:
    """Whether a plan can be estimated: of each stage what it holds, of the model its sizes."""
    stages = [config.stages[name] for name in configs.used_stages(config)]
    return _hub_name(config) in KNOWN and all(
        stage.kind == "adapter" or stage.stated.tokens for stage in stages
    )


def _hub_name(config: ConfigDict) -> str:
    return config.model.partition("@")[0]


def _print_estimate(config: ConfigDict, missing: list[str]) -> None:
    """The plan of what is not here, from what the config states and the model's known shape."""
    facts = {
        (name, seed): StageData.stated(name, config.stages[name])
        for name in configs.used_stages(config)
        for seed in range(config.seeds)
    }
    plan = make_plan(config, config.model, facts)
    costs = cost(plan, set(), KNOWN[_hub_name(config)], config)
    print("estimated from stated counts and known sizes, since this is missing:")
    for line in missing:
        print(f"  {line}")
    print(describe(plan, set(), costs, None))
    for line in warnings(plan):
        print(f"warning: {line}")


# --- What a workdir may be used for


def _check_toward(config: ConfigDict, probes: Probes) -> None:
    """Raises InputError where no probe could answer the primary contrast."""
    values = {v for _, items in probes.values() for p in items for v in p.values if v is not None}
    if config.toward not in values:
        raise InputError(
            f"config.toward: {config.toward!r} is the value of no probe; the probes have "
            f"{', '.join(sorted(values))}"
        )


def _check_changes(
    workdir: Path, saved: dict[str, Any], facts: dict[str, Any], config: ConfigDict
) -> bool:
    """Whether something changed since config.json was saved, and that was accepted.

    Raises InputError where the workdir belongs to other work; warns of another machine or commit.
    """
    if saved["config"]["name"] != config.name:
        raise InputError(
            f"{workdir}: it holds the experiment {saved['config']['name']!r}, not {config.name!r}; "
            "give another --workdir"
        )
    changes = configs.differences(saved["config"], facts["config"])
    old, new = saved["plan"]["stages"], facts["plan"]["stages"]
    old_rows = {(s["name"], s["seed"]): s["rows_id"] for s in old.values()}
    changes += sorted(
        {
            f"data of stage {s['name']}, seed {s['seed']}"
            for s in new.values()
            if old_rows.get((s["name"], s["seed"]), s["rows_id"]) != s["rows_id"]
        }
    )
    if saved["model"]["sha256"] != facts["model"]["sha256"]:
        changes.append(f"the file of the model {config.model}")
    changes += [
        f"probe file {name}"
        for name, sha in facts["probes"].items()
        if saved["probes"].get(name, sha) != sha
    ]
    if finished.trained_by(saved) != vcjax.__version__:
        changes.append(f"vcjax {finished.trained_by(saved)} -> {vcjax.__version__}")
    touched = sorted({s["name"] for f, s in new.items() if f not in old})
    if (changes or touched) and config.on_change == "refuse":
        raise InputError(
            f"{workdir}: this run's settings changed: {'; '.join(changes)}. Stages "
            f"that this trains again: {', '.join(touched) or 'none'}. Give another --workdir, or "
            "--config.on_change=retrain to go on here"
        )
    before = {**saved["versions"], "commit": saved["commit"]}
    for name, version in {**facts["versions"], "commit": facts["commit"]}.items():
        if before.get(name) != version:
            print(f"warning: {name} was {before.get(name)} and is {version} now")
    return bool(changes or touched)


def _check_disk(workdir: Path, needed: int) -> None:
    existing = next(p for p in (workdir.absolute(), *workdir.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"{workdir}: {free / 1e9:.1f} GB are free, the plan needs about {needed / 1e9:.1f} GB; "
            "free some, lower config.keep_checkpoints or give another --workdir"
        )


def _provenance(
    config: ConfigDict,
    plan: Plan,
    found: Pretrained,
    probes: Probes,
    saved: dict[str, Any] | None,
) -> dict[str, Any]:
    """What config.json holds; saved: what it held before."""
    as_json = configs.as_json(config)
    return {
        "config": as_json,
        # What was asked before anything was trained, whatever the config says later.
        "named": saved["named"] if saved else configs.named(as_json),
        "plan": plan.as_json(),
        "probes": {name: sha for name, (sha, _) in probes.items()},
        "model": {"sha256": found.identity, "licence": found.licence},
        "versions": _versions(),
        "commit": _commit(),
    }


def _untouched_id(facts: dict[str, Any]) -> str:
    """What decides the answers of the untouched model, as a fingerprint does a trained one's."""
    model, compute_dtype = facts["model"]["sha256"], facts["config"]["compute_dtype"]
    return f"{model} {compute_dtype} {finished.trained_by(facts)}"


def _versions() -> dict[str, str]:
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    return {
        "vcjax": vcjax.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {jax.device_count()} x {jax.devices()[0].device_kind}",
        **{name: importlib.metadata.version(name) for name in packages},
    }


def _commit() -> str | None:
    """The git commit of the code that runs, "+changes" where the checkout has some."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    except OSError:  # no git here
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


# --- Stages and probes


def _train(plan: Plan, load: Callable[[], Loaded], folder: Path, workdir: Path) -> None:
    """Trains the stages of the plan that are not done, parents first."""
    for number, (fingerprint, planned) in enumerate(plan.stages.items(), start=1):
        if stage.is_done(workdir, fingerprint):
            continue
        print(f"stage {number} of {len(plan.stages)}: {plan.title(fingerprint)}")
        loaded = load()
        params = loaded.params(workdir, planned.parent, planned.seed)
        if planned.kind == "adapter":
            source = folder / loaded.config.stages[planned.name].file
            stage.take_over(planned, peft.read_adapter(source, loaded.model, params), workdir)
            continue
        with jax.set_mesh(loaded.mesh):
            seconds = stage.run_stage(planned, plan.title(fingerprint), params, loaded, workdir)
        _note_time(workdir, f"stages/{fingerprint}", seconds)


def _probe(
    arms: Mapping[str, Mapping[Any, Iterable[str]]],
    load: Callable[[], Loaded],
    probes: Probes,
    untouched_id: str,
    lead: str,
    workdir: Path,
    place: str,
) -> None:
    """Scores every arm and seed on the probe files; a file of rows each, in workdir/place.

    An arm whose file already holds these answers is left alone; the untouched model, which is the
    same for all seeds, answers once.
    """
    untouched: pd.DataFrame | None = None
    for arm, chains in arms.items():
        for seed, chain in chains.items():
            last = [*chain][-1] if chain else None
            name = f"{place}/{arm}-{seed}.parquet"
            path = workdir / name
            key = json.dumps(
                [last or untouched_id, lead, sorted((n, sha) for n, (sha, _) in probes.items())]
            )
            if path.exists() and pq.read_schema(path).metadata.get(b"vcjax") == key.encode():
                continue
            started = time.monotonic()
            if last is not None or untouched is None:
                loaded = load()
                params = loaded.params(workdir, last, int(seed))
                answers = _answers(params, loaded, probes, lead)
                untouched = answers if last is None else untouched
            else:
                answers = untouched
            _write_parquet(path, answers.assign(arm=arm, seed=int(seed)), key)
            seconds = time.monotonic() - started
            _note_time(workdir, name, seconds)
            print(f"probed arm {arm}, seed {seed} in {seconds:.0f} s")


def _answers(params: PyTree, loaded: Loaded, probes: Probes, lead: str) -> pd.DataFrame:
    """One model's answers to all probe files."""
    scorer = f"mean log-probability a token after {lead!r}, {loaded.model.compute_dtype}"
    tables = []
    with jax.set_mesh(loaded.mesh):
        for name, (sha, items) in probes.items():
            table = choice.score(
                params, loaded.base, loaded.model, loaded.pretrained.tokenizer, items, lead
            )
            tables.append(table.assign(file=name, file_sha256=sha, scorer=scorer))
    return pd.concat(tables, ignore_index=True)


def _write_parquet(path: Path, table: pd.DataFrame, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(arrow.replace_schema_metadata({"vcjax": key}), unfinished)
    unfinished.replace(path)


def _note_time(workdir: Path, what: str, seconds: float) -> None:
    """seconds: of the process that finished it; what a killed one did before is not in it."""
    times = files.read_json(workdir / "times.json", default={})
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times[what] = {"seconds": round(seconds, 1), "finished": finished}
    files.write_json(workdir / "times.json", times)


def _flops_per_second(compute_dtype: str) -> float:
    """What training reaches on this machine, from timing one large matmul."""
    x = jnp.ones((2048, 576), compute_dtype)
    w = jnp.ones((576, 1536), compute_dtype)
    matmul = jax.jit(lambda x, w: jnp.matmul(x, w, preferred_element_type=jnp.float32))
    matmul(x, w).block_until_ready()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        matmul(x, w).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return MATMUL_SHARE * 2 * 2048 * 576 * 1536 / min(seconds) * jax.device_count()


def _read_probes(paths: Iterable[Path]) -> Probes:
    """Reads probe files; their names tell them apart, and a domain belongs to one split."""
    found: Probes = {}
    first_in: dict[str, probe_files.ChoiceProbe] = {}  # of each domain
    for path in paths:
        if path.name in found:
            raise InputError(f"{path}: a second probe file of this name; rename one of them")
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.name] = (sha, probe_files.read_probes(path))
        for probe in found[path.name][1]:
            first = first_in.setdefault(probe.domain, probe)
            if probe.split != first.split:
                raise InputError(
                    f"{probe.where}: the domain {probe.domain!r} is {probe.split} here and "
                    f"{first.split} at {first.where}; a domain belongs to one split"
                )
    return found
