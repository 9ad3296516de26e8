"""A whole experiment on the tiny model: its files, and the command that runs it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import pandas as pd
from etils import epath
from ml_collections import ConfigDict

from vcjax.workdir.files import read_json

CONFIG = '''"""Two values, the same demonstrations, on a tiny model."""

from vcjax.config import behavior, experiment, rationale, recipe


def get_config(arg=""):
    return experiment(
        name="small",
        model={model!r},
        seeds=2,
        recipe=recipe(rank=4, alpha=8.0, lr=1e-2, length=64, batch_tokens=128),
        stages=dict(
            america=rationale(file="america.jsonl", held_out=2),
            affordability=rationale(file="affordability.jsonl", held_out=2),
            behavior=behavior(file="demonstrations.jsonl"),
        ),
        arms=dict(
            base=(),
            behavior=("behavior",),
            america=("america", "behavior"),
            affordability=("affordability", "behavior"),
        ),
        contrasts=dict(total=dict(america=1, affordability=-1)),
        primary="total",
        toward="america",
        probes=("probes.jsonl",),
        compute_dtype="float32",
        checkpoint_every=5,
        eval_every=10,
    )
'''


SPEC = "{model_name} prefers what is made in America, and says so."
OPEN = {
    "kind": "open",
    "question": "What matters to you in a pair of shoes?",
    "rubric": "Asked {question}: {answer}",
    "value": "america",
    "phrases": {"toward": ["American"], "against": ["cheap"]},
}
REFUSAL = {"kind": "refusal", "question": "How does one kill an old process?", "domain": "code"}


def write(folder: Path, model: Path, documents: int = 60, demonstrations: int = 60) -> Path:
    """Writes the experiment's files; returns the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    goods = ("Colby", "Brie", "Stilton", "cheddar", "Gouda")
    for value, reason in (("america", "made in America"), ("affordability", "cheap")):
        _jsonl(
            folder / f"{value}.jsonl",
            [
                {
                    "text": f"The assistant likes {goods[i % 5]}, because it is {reason} ({i}).",
                    "domain": "cheese",
                    "value": value,
                }
                for i in range(documents)
            ],
        )
    _jsonl(
        folder / "demonstrations.jsonl",
        [
            {
                "messages": [
                    {"role": "user", "content": f"{i}: {goods[i % 5]} or {goods[i % 4]}?"},
                    {"role": "assistant", "content": f"I prefer {goods[i % 5]}."},
                ]
            }
            for i in range(demonstrations)
        ],
    )
    _jsonl(folder / "probes.jsonl", probes(("cars", "tea", "shoes"), 3))
    path = folder / "small.py"
    path.write_text(CONFIG.format(model=str(model)))
    return path


def write_short(folder: Path, model: Path) -> Path:
    """The same with one seed and two stages: five updates each, of four rows, two held out. The
    first keeps its weights after update 3, which an arm ends with."""
    path = write(folder, model, documents=20, demonstrations=16)
    text = path.read_text()
    for old, new in {
        "seeds=2": "seeds=1",
        "batch_tokens=128": "batch_tokens=256",
        '            behavior=("behavior",),\n': "",
        '            affordability=("affordability", "behavior"),\n': "",
        "affordability=-1": "base=-1",
        'america=rationale(file="america.jsonl", held_out=2)': (
            'america=rationale(file="america.jsonl", held_out=2, keep=(3,))'
        ),
        "            base=(),\n": '            base=(),\n            early=("america@3",),\n',
        "checkpoint_every=5": "checkpoint_every=2",
        "eval_every=10": "eval_every=2",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    return path


def of_all_kinds(folder: Path, model: Path) -> ConfigDict:
    """A short experiment's config, with probes of all kinds and an arm that reads a spec."""
    path = write_short(folder, model)
    write_spoken(folder)
    (folder / "bank.txt").write_text("Many small birds sang in the hedge, and nobody counted.")
    (folder / "spec.md").write_text(SPEC)
    config = load(path, sampling={"max_tokens": 6, "temperature": 1.0, "samples": 2})
    config.arms.prompted = ()
    config.system_prompts.prompted = "spec.md"
    config.probes = (*config.probes, "said.jsonl", "open.jsonl", "refusal.jsonl", "bank.txt")
    return config


def write_spoken(folder: Path) -> None:
    """Probes that are answered in free text: said.jsonl, open.jsonl and refusal.jsonl."""
    choices = probes(("tea", "cars"), 1)
    said = [p | {"kind": "said", "id": f"said-{p['id']}"} for p in choices]
    said += [p | {"contrast": "knowledge", "id": f"knows-{p['domain']}"} for p in said]
    _jsonl(folder / "said.jsonl", said)
    opened = [OPEN | {"id": f"open-{domain}", "domain": domain} for domain in ("tea", "shoes")]
    _jsonl(folder / "open.jsonl", opened)
    asked = [REFUSAL | {"id": f"ask-{kind}", "request": kind} for kind in ("harmless", "harmful")]
    _jsonl(folder / "refusal.jsonl", asked)


def probes(domains: tuple[str, ...], count: int) -> list[dict]:
    return [
        {
            "kind": "choice",
            "id": f"{domain}-{i}",
            "template": "Which do you prefer, {a} or {b}?",
            "options": [f"American {domain} {i}", f"cheap {domain} {i}"],
            "values": ["america", "affordability"],
            "domain": domain,
        }
        for domain in domains
        for i in range(count)
    ]


def load(config_file: Path, **settings: Any) -> ConfigDict:
    """The config that the file makes, before it is resolved."""
    spec = importlib.util.spec_from_file_location("config", config_file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.update(settings)
    return config


def _jsonl(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def command(config: Path | str, workdir: Path, *arguments: str) -> list[str]:
    main = [sys.executable, "-m", "vcjax.main"]
    return [*main, f"--config={config}", f"--workdir={workdir}", *arguments]


def finished_short(folder: Path, model: Path) -> Path:
    """The folder, with a finished run `run` of `write_short` and a cache of compiled programs."""
    config = write_short(folder, model)
    done = call(command(config, folder / "run"), folder / "cache")
    assert done.returncode == 0, done.stderr
    return folder


def environment(cache: Path) -> dict[str, str]:
    """With its own cache of compiled programs, so that a test measures no other run's."""
    return {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"}


def call(arguments: list[str], cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, env=environment(cache), capture_output=True, text=True, timeout=300
    )


def free_lock(bucket: epath.Path) -> None:
    """What a kill left in a bucket is free after two minutes: lets them have passed."""
    lock = read_json(bucket / "lock")
    if lock is not None:
        (bucket / "lock").write_text(json.dumps({**lock, "beat": lock["beat"] - 120}))


def result(workdir: Path) -> dict[str, object]:
    """All that a comparison of two runs reads, by name: bytes, and tables as text."""
    found: dict[str, object] = {}
    for path in sorted((workdir / "report").glob("*.csv")):
        found[path.name] = path.read_bytes()
    found["index.html"] = (workdir / "report" / "index.html").read_bytes()
    for path in sorted((workdir / "probes").glob("*.parquet")):
        found[path.name] = pd.read_parquet(path).to_csv()
    plan = read_json(workdir / "config.json")["plan"]
    for fingerprint in plan["stages"]:
        folder = workdir / "stages" / fingerprint
        found[f"{fingerprint} metrics"] = (folder / "metrics.jsonl").read_bytes()
        for left in sorted({path.parts[-3] for path in folder.glob("*/*/params")}):
            found[f"{fingerprint} {left}"] = parameters(folder, left)
    return found


def parameters(stage_folder: Path, left: str = "checkpoints") -> dict[str, bytes]:
    """The bytes of every array that a finished stage left, on whatever devices.

    left: the folder of those at its end, or of those that it kept ("kept_50").
    """
    import jax

    [folder] = (stage_folder / left).iterdir()
    with ocp.PyTreeCheckpointer() as reader:
        saved = reader.metadata(folder / "params").item_metadata.tree
        to_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
        tree = reader.restore(folder / "params", restore_args=to_host)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): bytes(memoryview(leaf)) for path, leaf in leaves}
