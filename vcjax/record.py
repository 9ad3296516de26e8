"""config.json of a run: what decides its results, and what computed them.

It is written, compared and read here alone. A `config: ConfigDict` is what a config file gives, a
`config: dict` the same as JSON, as a record holds it.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydantic
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax.errors import InputError, missing
from vcjax.plan import Plan, StagePlan
from vcjax.probes.overlap import Hit
from vcjax.schema.differences import differences
from vcjax.workdir import files, stages, storage

# NUMERICS -> the values of `Record.numerics` that stand for the same arithmetic.
SAME_NUMERICS: dict[int, tuple[int | str, ...]] = {1: (1, "0.8.1")}


@dataclasses.dataclass(frozen=True)
class Base:
    """The pretrained model. sha256: its `identity`. warnings: of `templates.warnings`."""

    sha256: str
    licence: str
    warnings: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of config.json. What trained a stage is in the stage's own folder."""

    command: list[str]  # the flags that gave the config
    config: dict[str, Any]  # resolved, as JSON
    preregistration: dict[str, Any]  # `config.preregistration`, from before anything was trained
    analysis: str  # sha256 of the analysis' code, from the same time
    development_runs: int | None  # in which the recipe was tuned; None: the config does not say
    plan: Plan
    probes: dict[str, str]  # file name -> sha256
    first_probe: str  # what the model reads of the first probe, before an option
    model: Base
    licences: dict[str, str]  # path in the config -> the licences of the texts there
    numerics: int | str  # `vcjax.NUMERICS`, or the version of a release before 0.9
    environment: dict[str, str]  # `environment.describe` of the process that planned the run
    kinds: dict[str, str] = dataclasses.field(default_factory=dict)  # file of probes -> its kind
    system: dict[str, str] = dataclasses.field(default_factory=dict)  # arm -> its system prompt
    # Stage, or arm of a system prompt -> the probes that its texts give away.
    overlap: dict[str, list[Hit]] = dataclasses.field(default_factory=dict)
    # What `report.published.read` returns of the config's file; empty without one.
    published: dict[str, Any] = dataclasses.field(default_factory=dict)
    # Graft -> the model that it is asked on, where that is another.
    grafted: dict[str, Base] = dataclasses.field(default_factory=dict)

    def model_of(self, arm: str, seed: int) -> str:
        """A name for the model at the end of an arm: equal names, equal answers.

        It is that of its weights, then a hash of the system prompt, where the arm has one.
        """
        parts = [self.weights_of(arm, seed)]
        if arm in self.system:
            parts.append(f"system {hashlib.sha256(self.system[arm].encode()).hexdigest()}")
        return " ".join(parts)

    def weights_of(self, arm: str, seed: int) -> str:
        """A name for the weights at the end of an arm.

        It is the fingerprint of the last stage, with the update where the arm ends inside it; of
        the untouched model its identity, compute type and arithmetic; of a graft then the other
        model's identity, and the scale.
        """
        chain, end = self.plan.arms[arm][seed], self.plan.ends.get(arm)
        base, scale = self.grafted.get(arm, self.model), configs.scale_of(self.config, arm)
        if scale == 0:  # what the adapters stand on
            pretraining = self.plan.pretraining(chain[-1])
            chain, end = () if pretraining is None else (pretraining.fingerprint,), None
        if chain:
            parts = [chain[-1] if end is None else f"{chain[-1]}@{end}"]
            parts += [f"on {base.sha256}"] if base.sha256 != self.model.sha256 else []
            parts += [f"scale {scale!r}"] if scale not in (0, 1) else []
        else:
            numerics = f"numerics-{self.numerics}"
            if isinstance(self.numerics, str):
                numerics = self.numerics
            parts = [base.sha256, self.config["compute_dtype"], numerics]
        return " ".join(parts)

    def untouched(self, base: str = "") -> str | None:
        """The first arm without any training on this base (of `base_of`), nor a system prompt."""
        arms = self.plan.arms
        plain = (arm for arm in arms if not arms[arm][0] and arm not in self.system)
        return next((arm for arm in plain if self.base_of(arm) == base), None)

    def base_of(self, arm: str | None) -> str:
        """The name in config.grafts of the pretrained model that an arm's models stand on; "" for
        the experiment's own."""
        graft = configs.graft_of(self.config, arm)
        return "" if graft is None else graft["model"]

    def kind_of(self, name: str) -> str:
        """The kind of a file of probes; releases before 0.9 had two, and did not note them."""
        return self.kinds.get(name, "text" if name.lower().endswith(".txt") else "choice")

    def decides(self, kind: str, arm: str, seed: int) -> dict[str, Any]:
        """What decides the answers of an arm to probes of this kind, beside the probes."""
        keys = {"choice": ["lead"], "text": []}.get(kind, ["sampling"])
        return {"model": self.model_of(arm, seed)} | {key: self.config[key] for key in keys}


_RECORD = pydantic.TypeAdapter(Record)


def _path(workdir: epath.Path) -> epath.Path:
    return workdir / "config.json"


def find(workdir: epath.Path) -> Record | None:
    """The record of the run in the workdir, None where there is none.

    Raises InputError where the file is damaged, or of a release that this one cannot read.
    """
    content = files.read_json(_path(workdir))
    return None if content is None else parse(content, _path(workdir))


def read(workdir: epath.Path) -> Record:
    """The record of the run in the workdir; raises InputError as `find` and where there is none."""
    if storage.is_local(workdir) and not workdir.exists():
        raise InputError(f"--workdir: {missing(Path(workdir))}")
    record = find(workdir)
    if record is None:
        raise InputError(f"{_path(workdir)}: no such file; is this the workdir of a run?")
    return record


def write(workdir: epath.Path, record: Record) -> None:
    files.write_json(_path(workdir), as_json(record))


def as_json(record: Record) -> dict[str, Any]:
    return _RECORD.dump_python(record, mode="json")


def resumed(workdir: epath.Path, saved: Record, new: Record, on_change: str) -> Record:
    """The record of a run that goes on: config.json holds `saved`, the config now gives `new`.

    The preregistration and the hash of the analysis stay as saved. Raises InputError where the
    workdir holds another experiment, or where something changed and on_change is "refuse". Warns
    of another machine, commit or version of a package.
    """
    if saved.config["name"] != new.config["name"]:
        raise InputError(
            f"{workdir}: it holds the experiment {saved.config['name']!r}, not "
            f"{new.config['name']!r}; give another --workdir"
        )
    changes = _changes(saved, new)
    retrained = sorted(
        {stage.name for f, stage in new.plan.stages.items() if f not in saved.plan.stages}
    )
    if (changes or retrained) and on_change == "refuse":
        raise InputError(
            f"{workdir}: this run's settings changed: {'; '.join(changes)}. Stages "
            f"that this trains again: {', '.join(retrained) or 'none'}. Give another --workdir, or "
            "--config.on_change=retrain to go on here"
        )
    for name, version in new.environment.items():
        if saved.environment.get(name) != version:
            print(f"warning: {name} was {saved.environment.get(name)} and is {version} now")
    fixed: dict[str, Any] = {"preregistration": saved.preregistration, "analysis": saved.analysis}
    if not (changes or retrained):
        return dataclasses.replace(
            saved, config=new.config, overlap=new.overlap, published=new.published
        )
    if not retrained:
        fixed["environment"] = saved.environment
    return dataclasses.replace(new, **fixed)


def shared(record: Record) -> dict[str, Any]:
    """The part of a record that must be equal in all processes of a run."""
    content = as_json(record)
    keys = ("config", "plan", "probes", "model", "grafted", "numerics")
    common = {key: content[key] for key in keys}
    versions = {k: v for k, v in record.environment.items() if k not in ("machine", "commit")}
    return {**common, "versions": versions}


def development_runs(config: ConfigDict, folder: Path) -> int | None:
    """How many runs the recipe was tuned in: the items of the lists that the config names."""
    if not config.development:
        return None
    paths = [folder / path for path in config.development]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    return sum(line.startswith("- ") for text in texts for line in text.splitlines())


def check_trained(workdir: epath.Path, record: Record, fingerprints: Iterable[str]) -> None:
    """Raises InputError where one of these stages of the plan is not finished."""
    planned = record.plan.stages
    missing = [
        f"{planned[f].name}, seed {planned[f].seed}"
        for f in fingerprints
        if not stages.is_done(workdir, f)
    ]
    if missing:
        raise InputError(f"{workdir}: not trained yet: {'; '.join(missing)}; run vcjax.main first")


def check_numerics(workdir: epath.Path, record: Record) -> None:
    """Raises InputError where this vcjax would compute otherwise than what trained the run."""
    if record.numerics not in SAME_NUMERICS[vcjax.NUMERICS]:
        trainer = (
            f"vcjax {record.numerics}"
            if isinstance(record.numerics, str)
            else f"numerics {record.numerics} (vcjax {record.environment['vcjax']})"
        )
        raise InputError(
            f"{workdir}: it was trained by {trainer}, this is numerics {vcjax.NUMERICS} (vcjax "
            f"{vcjax.__version__}), which computes otherwise; use that version"
        )


def trained_by(workdir: epath.Path, record: Record) -> dict[str, list[dict[str, str]]]:
    """Fingerprint -> the environments that trained the stage, first to last.

    Releases before 0.9 did not note them; theirs is the record's.
    """
    return {
        fingerprint: stages.read(workdir, fingerprint).get("trained_by") or [record.environment]
        for fingerprint in record.plan.stages
    }


def _changes(saved: Record, new: Record) -> list[str]:
    """What decides results and differs between the two, each as text."""
    changes = differences(saved.config, new.config)
    before = {(stage.name, stage.seed): _rows(stage) for stage in saved.plan.stages.values()}
    changes += sorted(
        {
            f"data of stage {stage.name}, seed {stage.seed}"
            for stage in new.plan.stages.values()
            if before.get((stage.name, stage.seed), _rows(stage)) != _rows(stage)
        }
    )
    if saved.model.sha256 != new.model.sha256:
        changes.append(f"the file of the model {new.config['model']}")
    changes += [
        f"the file of the model of config.grafts.{name}"
        for name in sorted(saved.config["grafts"].keys() & new.config["grafts"].keys())
        if saved.grafted.get(name, saved.model).sha256 != new.grafted.get(name, new.model).sha256
    ]
    changes += [
        f"probe file {name}"
        for name, sha in new.probes.items()
        if saved.probes.get(name, sha) != sha
    ]
    changes += [
        f"the system prompt of {arm}"
        for arm, text in new.system.items()
        if saved.system.get(arm, text) != text
    ]
    if saved.numerics != new.numerics:
        changes.append(f"numerics {saved.numerics} -> {new.numerics}")
    return changes


def _rows(stage: StagePlan) -> tuple[str, str | None]:
    return stage.data.rows_id, stage.data.held_out_id


def parse(content: Any, where: os.PathLike | str = "config.json") -> Record:
    """The record in the JSON of config.json. Raises InputError as `find`."""
    version = "an unknown version"
    if isinstance(content, dict) and "versions" in content:
        version = f"vcjax {content['versions'].get('vcjax')}"
        content = _of_a_release_before_0_9(content)
    content = _with_newer_keys(content)
    try:
        return _RECORD.validate_python(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{where}: {field}: {first['msg']}. It was written by {version}; read it with that "
            f"version, or restore the file ({error.error_count()} such fields)"
        ) from None


def _of_a_release_before_0_9(content: dict[str, Any]) -> dict[str, Any]:
    """The content with today's names of its fields."""
    content = dict(content)
    versions = content.pop("versions")
    if "named" in content:
        content["preregistration"] = content.pop("named")
    content["numerics"] = versions.get("vcjax")
    content["environment"] = {**versions, "commit": content.pop("commit", None) or "unknown"}
    return content


def _with_newer_keys(content: Any) -> Any:
    """The content; of keys that its release did not know, the config has the defaults, by which it
    ran. config.development may be a path, as it was when a config had one list."""
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        return content
    config = configs.as_json(configs.experiment()) | config
    if isinstance(config["development"], str):
        config["development"] = [config["development"]] if config["development"] else []
    before = content.get("preregistration")
    if isinstance(before, dict):
        content = {**content, "preregistration": {"probes": "values", **before}}
    return {**content, "config": config}
