"""config.json of a run: what decides its results, and what made them; a change is no accident."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

import vcjax
from vcjax import config as configs
from vcjax.data import licences, rows
from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError
from vcjax.plan import Plan
from vcjax.probes import choice
from vcjax.probes.answers import Probes, choices, sha256_of
from vcjax.report.reading import analysis_sha256
from vcjax.training import stage
from vcjax.weights import pretrained
from vcjax.weights.pretrained import Pretrained


def describe(
    config: ConfigDict,
    plan: Plan,
    found: Pretrained,
    probes: Probes,
    records: Sequence[Document | Demonstration],
    saved: dict[str, Any] | None,
    folder: Path,
    command: Sequence[str],
) -> dict[str, Any]:
    """What config.json holds; records: all that are trained on; saved: what it held before; folder:
    the config's; command: the flags that gave the config."""
    as_json = configs.as_json(config)
    return {
        "command": list(command),
        "config": as_json,
        # What was asked before anything was trained, whatever the config says later.
        "named": (saved or {}).get("named", configs.preregistration(as_json)),
        "analysis": (saved or {}).get("analysis", analysis_sha256()),
        "development_runs": _development_runs(config, folder),
        "plan": plan.as_json(),
        "probes": sha256_of(probes),
        "first_probe": choice.as_read(next(choices(probes)), found.tokenizer, config.lead),
        "model": {"sha256": found.identity, "licence": found.licence},
        "licences": _licences(config, folder, records),
        "versions": _versions(),
        "commit": _commit(),
    }


def going_on(
    workdir: epath.Path, saved: dict[str, Any], facts: dict[str, Any], config: ConfigDict
) -> dict[str, Any]:
    """What config.json holds from now on; saved: what it held before.

    The versions and the commit that trained stay, where nothing is trained anew. Raises InputError
    where the workdir belongs to other work; warns of another machine or commit.
    """
    if saved["config"]["name"] != config.name:
        raise InputError(
            f"{workdir}: it holds the experiment {saved['config']['name']!r}, not {config.name!r}; "
            "give another --workdir"
        )
    changes = configs.differences(saved["config"], facts["config"])
    old, new = saved["plan"]["stages"], facts["plan"]["stages"]
    old_rows = {(s["name"], s["seed"]): _rows_of(s) for s in old.values()}
    changes += sorted(
        {
            f"data of stage {s['name']}, seed {s['seed']}"
            for s in new.values()
            if old_rows.get((s["name"], s["seed"]), _rows_of(s)) != _rows_of(s)
        }
    )
    if saved["model"]["sha256"] != facts["model"]["sha256"]:
        changes.append(f"the file of the model {config.model}")
    changes += [
        f"probe file {name}"
        for name, sha in facts["probes"].items()
        if saved["probes"].get(name, sha) != sha
    ]
    other_version = trained_by(saved) != vcjax.__version__
    if other_version:
        changes.append(f"vcjax {trained_by(saved)} -> {vcjax.__version__}")
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
    if not (changes or touched):
        return {**saved, "config": facts["config"]}
    if touched or other_version:
        return facts
    return {**facts, "versions": saved["versions"], "commit": saved["commit"]}


def _rows_of(stage: dict[str, Any]) -> tuple[str, str | None]:
    return stage["rows_id"], stage["held_out_id"]


def _licences(
    config: ConfigDict, folder: Path, records: Sequence[Document | Demonstration]
) -> dict[str, str]:
    """Path in the config -> its licences, of all that the stages' texts (records) are from."""
    stages = [config.stages[name] for name in configs.used_stages(config)]
    paths = {stage[key] for stage in stages for key in configs.SOURCES if stage.get(key)}
    return {path: licences.of_records(folder / path, records) for path in sorted(paths)}


def shared(facts: dict[str, Any]) -> dict[str, Any]:
    """What must be the same in all processes of a run."""
    return {key: facts[key] for key in ("config", "plan", "probes", "model", "versions")}


def _development_runs(config: ConfigDict, folder: Path) -> int | None:
    """How many runs the recipe was tuned in; None where the config does not say."""
    if not config.development:
        return None
    text = (folder / config.development).read_text(encoding="utf-8", errors="replace")
    return sum(line.startswith("- ") for line in text.splitlines())


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

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode else done.stdout.strip()

    try:
        # Installed below somebody else's repository, this file is none of its own.
        is_own = git("ls-files", "--error-unmatch", Path(__file__).name) is not None
        head = git("rev-parse", "HEAD") if is_own else None
        return head and head + ("+changes" if git("status", "--porcelain") else "")
    except OSError:  # no git here
        return None


def trained_by(run: dict[str, Any]) -> str:
    """The version of vcjax."""
    return run["versions"]["vcjax"]


def check_trained(workdir: epath.Path, run: dict[str, Any], fingerprints: Iterable[str]) -> None:
    """Raises InputError where one of these stages of the plan is not trained to its end."""
    stages = run["plan"]["stages"]
    missing = [
        f"{stages[f]['name']}, seed {stages[f]['seed']}"
        for f in fingerprints
        if not stage.is_done(workdir, f)
    ]
    if missing:
        raise InputError(f"{workdir}: not trained yet: {'; '.join(missing)}; run vcjax.main first")


def trained_records(workdir: epath.Path, run: dict[str, Any]) -> list[Document | Demonstration]:
    """All that its stages trained on."""
    stages = run["plan"]["stages"].values()
    folders = {stage["rows_id"] for stage in stages if stage["kind"] != "adapter"}
    return [r for name in sorted(folders) for r in rows.read_records(workdir / "rows" / name)]


def find_model(workdir: epath.Path, run: dict[str, Any]) -> Pretrained:
    """The model of the run; InputError where its files or vcjax are not those that trained."""
    if trained_by(run) != vcjax.__version__:
        raise InputError(
            f"{workdir}: it was trained by vcjax {trained_by(run)}, this is {vcjax.__version__}; "
            "use that version"
        )
    found = pretrained.find(run["config"]["model"], run["config"]["chat_template"])
    if found.identity != run["model"]["sha256"]:
        raise InputError(
            f"{workdir}: it was trained on another file of {found.name}, and what it trained "
            "belongs to that; give the model its file back"
        )
    return found
