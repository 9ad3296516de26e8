"""config.json of a run: what decides its results, and what made them.

It is written, compared and read here alone.
"""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydantic
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax.errors import InputError
from vcjax.plan import Plan, StagePlan
from vcjax.workdir import files, stages

# NUMERICS -> what records of the same arithmetic note: it, or the version of a release before 0.9.
SAME_NUMERICS: dict[int, tuple[int | str, ...]] = {1: (1, "0.8.1")}


@dataclasses.dataclass(frozen=True)
class Base:
    """The pretrained model. sha256: its `identity`."""

    sha256: str
    licence: str


@dataclasses.dataclass(frozen=True)
class Record:
    """What config.json holds.

    command: the flags that gave the config. config: resolved, as JSON. preregistration: the primary
    contrast as it was before anything was trained, and analysis the hash of the analysis' code at
    that time. development_runs: how many runs the recipe was tuned in, None where the config does
    not say. probes: file name -> sha256. first_probe: what the model reads of the first one.
    licences: path in the config -> those of the texts from there. numerics: as `vcjax.NUMERICS`, or
    the version of a release that had none. environment: as `environment.describe`, of the process
    that planned this; what trained a stage is in the stage's own folder.
    """

    command: list[str]
    config: dict[str, Any]
    preregistration: dict[str, Any]
    analysis: str
    development_runs: int | None
    plan: Plan
    probes: dict[str, str]
    first_probe: str
    model: Base
    licences: dict[str, str]
    numerics: int | str
    environment: dict[str, str]

    def model_of(self, arm: str, seed: int) -> str:
        """What names the model that an arm and seed ends in: whose answers are whose."""
        chain = self.plan.arms[arm][seed]
        if chain:
            return chain[-1]
        numerics = self.numerics if isinstance(self.numerics, str) else f"numerics-{self.numerics}"
        return " ".join([self.model.sha256, self.config["compute_dtype"], numerics])


_RECORD = pydantic.TypeAdapter(Record)


def path(workdir: epath.Path) -> epath.Path:
    return workdir / "config.json"


def find(workdir: epath.Path) -> Record | None:
    """The record of the run in the workdir, None where there is none.

    Raises InputError where the file is damaged, or of a release that this one cannot read.
    """
    content = files.read_json(path(workdir))
    return None if content is None else parse(content, path(workdir))


def read(workdir: epath.Path) -> Record:
    """As `find`; InputError where there is no run."""
    record = find(workdir)
    if record is None:
        raise InputError(f"{path(workdir)}: no such file; is this the workdir of a run?")
    return record


def write(workdir: epath.Path, record: Record) -> None:
    files.write_json(path(workdir), as_json(record))


def as_json(record: Record) -> dict[str, Any]:
    return _RECORD.dump_python(record, mode="json")


def going_on(workdir: epath.Path, saved: Record, new: Record, on_change: str) -> Record:
    """What config.json holds from now on, where it held `saved` and the config plans `new`.

    What was fixed before the run stays. Raises InputError where the workdir belongs to other work,
    or where something changed and on_change is "refuse"; warns of another machine or commit.
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
        return dataclasses.replace(saved, config=new.config)
    if not retrained:
        fixed["environment"] = saved.environment
    return dataclasses.replace(new, **fixed)


def shared(record: Record) -> dict[str, Any]:
    """What all processes of a run must have in common."""
    content = as_json(record)
    common = {key: content[key] for key in ("config", "plan", "probes", "model", "numerics")}
    versions = {k: v for k, v in record.environment.items() if k not in ("machine", "commit")}
    return {**common, "versions": versions}


def development_runs(config: ConfigDict, folder: Path) -> int | None:
    """How many runs the recipe was tuned in, by the config's list of them."""
    if not config.development:
        return None
    text = (folder / config.development).read_text(encoding="utf-8", errors="replace")
    return sum(line.startswith("- ") for line in text.splitlines())


def check_trained(workdir: epath.Path, record: Record, fingerprints: Iterable[str]) -> None:
    """Raises InputError where one of these stages of the plan is not trained to its end."""
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
        then = (
            f"vcjax {record.numerics}"
            if isinstance(record.numerics, str)
            else f"numerics {record.numerics} (vcjax {record.environment['vcjax']})"
        )
        raise InputError(
            f"{workdir}: it was trained by {then}, this is numerics {vcjax.NUMERICS} (vcjax "
            f"{vcjax.__version__}), which computes otherwise; use that version"
        )


def trained_by(workdir: epath.Path, record: Record) -> dict[str, list[dict[str, str]]]:
    """Fingerprint -> what trained the stage, first to last; of the first releases the record's."""
    return {
        fingerprint: stages.read(workdir, fingerprint).get("trained_by") or [record.environment]
        for fingerprint in record.plan.stages
    }


def _changes(saved: Record, new: Record) -> list[str]:
    """What decides results and is not as it was, for people."""
    same_model = saved.model.sha256 == new.model.sha256
    changes = [
        change
        for change in configs.differences(saved.config, new.config)
        if not (same_model and change.startswith("config.model:"))  # its file lies elsewhere now
    ]
    before = {(stage.name, stage.seed): _rows(stage) for stage in saved.plan.stages.values()}
    changes += sorted(
        {
            f"data of stage {stage.name}, seed {stage.seed}"
            for stage in new.plan.stages.values()
            if before.get((stage.name, stage.seed), _rows(stage)) != _rows(stage)
        }
    )
    if not same_model:
        changes.append(f"the file of the model {new.config['model']}")
    changes += [
        f"probe file {name}"
        for name, sha in new.probes.items()
        if saved.probes.get(name, sha) != sha
    ]
    if saved.numerics != new.numerics:
        changes.append(f"numerics {saved.numerics} -> {new.numerics}")
    return changes


def _rows(stage: StagePlan) -> tuple[str, str | None]:
    return stage.data.rows_id, stage.data.held_out_id


def parse(content: Any, where: os.PathLike | str = "config.json") -> Record:
    """A record from the JSON of config.json. Raises InputError as `find`."""
    version = "an unknown version"
    if isinstance(content, dict) and "versions" in content:
        version = f"vcjax {content['versions'].get('vcjax')}"
        content = _of_a_release_before_0_9(content)
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
    """Its fields by their names of today."""
    content = dict(content)
    versions = content.pop("versions")
    if "named" in content:
        content["preregistration"] = content.pop("named")
    content["numerics"] = versions.get("vcjax")
    content["environment"] = {**versions, "commit": content.pop("commit", None) or "unknown"}
    return content
