"""A run directory as a real run leaves it, with answers drawn from known effects."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from etils import epath

from vcjax import record
from vcjax.config import preregistration
from vcjax.corpus.stage_data import StageData
from vcjax.plan import StagePlan
from vcjax.probes import answer_files
from vcjax.report.reading import analysis_sha256

ARMS = {
    "base": [],
    "behavior": ["behavior"],
    "america": ["america", "behavior"],
    "affordability": ["affordability", "behavior"],
}


def rationale(*whose: str, value: str = "america", **settings: object) -> dict:
    """A rationale stage with documents about the model ("own"), another assistant, or both."""
    spec = f"cheese/spec_{value}.md"
    specs = {"spec": spec if "own" in whose else None}
    specs |= {"other_spec": spec if "other" in whose else None}
    return {"kind": "rationale", "file": None, "documents": 240} | specs | settings


STAGES = {
    "america": rationale("own"),
    "affordability": rationale("own", value="affordability"),
    "other_america": rationale("other"),
    "other_affordability": rationale("other", value="affordability"),
    "behavior": {"kind": "behavior", "file": None, "demonstrations": 200},
}
EFFECTS = {"base": 0.0, "behavior": 0.05, "america": 0.2, "affordability": -0.2}


def probe_rows(
    arm: str,
    seed: int,
    effect: float = 0.0,
    *,
    probes: list[dict],
    name: str = "paired.jsonl",
    scorer: str = "mean_logprob",
) -> pd.DataFrame:
    """Rows of one arm and seed: `effect` is the margin toward america, plus noise of the domain,
    the probe, the arm and the position."""
    rows = []
    for probe in probes:
        shared = np.random.default_rng([len(probe["id"]), *map(ord, probe["id"])])
        own = np.random.default_rng([seed, *map(ord, arm + probe["id"])])
        toward = -1.0 if probe["values"][1] == "america" else 1.0
        margin = toward * (effect + shared.normal(0, 0.2) + own.normal(0, 0.1))
        for order in (0, 1):
            position = 0.1 if order == 0 else -0.1
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "file": name,
                    "file_sha256": "ab" * 32,
                    "scorer": scorer,
                    "id": probe["id"],
                    "domain": probe["domain"],
                    "scope": probe.get("scope", "out_of_domain"),
                    "split": probe.get("split", "held_out"),
                    "contrast": probe.get("contrast", "values"),
                    "explicitness": probe.get("explicitness"),
                    "value_0": probe["values"][0],
                    "value_1": probe["values"][1],
                    "option_0": probe.get("options", ("one", "two"))[0],
                    "option_1": probe.get("options", ("one", "two"))[1],
                    "order": order,
                    "logprob_0": -3.0 + (margin + position) / 2,
                    "logprob_1": -3.0 - (margin + position) / 2,
                    "tokens_0": 2,
                    "tokens_1": 3,
                }
            )
    return pd.DataFrame(rows)


def text_row(arm: str, seed: int, log_prob: float) -> pd.DataFrame:
    """The row of a text whose perplexity was measured."""
    row = {"arm": arm, "seed": seed, "file": "bank.txt", "file_sha256": "ef" * 32}
    return pd.DataFrame([row | {"scorer": "of the text", "tokens": 264, "logprob": log_prob}])


def text_row_among_choices(row: pd.DataFrame) -> pd.DataFrame:
    """`text_row` as releases before 0.9 wrote it."""
    older = {
        **{"order": 0, "contrast": "text", "explicitness": None, "tokens_1": 0},
        **dict.fromkeys(("id", "domain", "scope", "split", "option_0", "option_1"), ""),
        **{"value_0": None, "value_1": None, "logprob_1": float("nan")},
    }
    return row.rename(columns={"tokens": "tokens_0", "logprob": "logprob_0"}).assign(**older)


def value_pairs(domains: int = 12, each: int = 4) -> list[dict]:
    """Held-out pairs; america is option 0 in the explicit half and option 1 in the other."""
    values = ("america", "affordability")
    return [
        {
            "id": f"d{d}-{i}",
            "domain": f"domain {d:02}",
            "values": values[:: 1 if i % 2 else -1],
            "explicitness": "explicit" if i % 2 else "implicit",
        }
        for d in range(domains)
        for i in range(each)
    ]


def other_probes() -> list[dict]:
    """One group each: in-domain, format, development, liking, disliking."""
    kinds = [
        {"values": ("spec", None), "scope": "in_domain", "domain": "cheese"},
        {"values": ("right", None), "contrast": "format"},
        {"values": ("america", "affordability"), "split": "development"},
        {"values": ("america", None), "contrast": "neutral"},
        {"values": (None, "affordability"), "contrast": "neutral"},
    ]
    return [
        {"id": f"k{k}-{i}", "domain": f"subject {i % 3}"} | kind
        for k, kind in enumerate(kinds)
        for i in range(6)
    ]


def premise_probes(people: int = 6, each: int = 4) -> list[dict]:
    """Choices of people, half of whom only declare what they care about."""
    return [
        {"id": f"{kind} {p}-{i}", "domain": f"{kind} {p}", "values": (kind, None)}
        | {"contrast": "premise"}
        for kind in ("known", "declaring")
        for p in range(people)
        for i in range(each)
    ]


class Run:
    """A run directory to be changed by a test before the report is written."""

    def __init__(self, workdir: Path, seeds: int = 2, probes: list[dict] | None = None):
        self.workdir = workdir
        self.seeds = seeds
        self.arms = dict(ARMS)
        self.effects = dict(EFFECTS)
        self.probes = value_pairs() + other_probes() if probes is None else probes
        self.contrasts: dict = {
            "total": {"america": 1, "affordability": -1},
            "rationale": {"america": 1, "behavior": -1},
        }
        self.name = "cheese-test"
        self.primary = "total"
        self.rules_out: dict = {}
        self.settings: dict = {}  # other keys of the config
        self.trained = "0123456789ab"  # the end of all fingerprints
        self.log_probs: dict = {}  # of the neutral text, by arm, where it was scored
        # None: as a release before 0.9, which did not note them.
        self.kinds: dict | None = {"paired.jsonl": "choice", "bank.txt": "text"}

    def write(self) -> Path:
        stages: dict = {}
        arms: dict = {arm: {} for arm in self.arms}
        for arm, names in self.arms.items():
            for seed in range(self.seeds):
                chain = ["-".join([*names[: i + 1], str(seed)]) for i in range(len(names))]
                chain = [f"{fingerprint}-{self.trained}" for fingerprint in chain]
                arms[arm][str(seed)] = chain
                for i, fingerprint in enumerate(chain):
                    data = StageData(
                        rows_id=f"rows of {names[i]}",
                        held_out_id=None,
                        rows=30,
                        documents=240,
                        held_out_documents=0,
                        tokens=33_000,
                        weighted_tokens=30_000 if i == 0 else 1_000,
                        split_documents=1,
                        most_documents=3,
                    )
                    kind = STAGES.get(names[i], rationale("own"))["kind"]
                    parent = chain[i - 1] if i else None
                    planned = StagePlan(
                        *(fingerprint, names[i], kind, seed, parent, {}, data),
                        rows_per_update=1,
                        updates=60,
                        warmup=3,
                    )
                    stages[fingerprint] = dataclasses.asdict(planned)
        config = {
            "name": self.name,
            "model": "smollm2-135m-instruct",
            "seeds": self.seeds,
            "toward": "america",
            "arms": self.arms,
            "contrasts": self.contrasts,
            "primary": self.primary,
            "recipe": {"lr": 2e-4, "rank": 64, "batch_tokens": 512},
            "names": {"model_name": "SmolLM"},
            "other_names": {"model_name": "Orion"},
            "exclude": [],
            "rules_out": self.rules_out,
            "development": [],
            "lead": "I prefer",
            "primary_probes": "values",
            "system_prompts": {},
            "compute_dtype": "float32",
            "stages": STAGES,
            **self.settings,
        }
        self.workdir.mkdir(exist_ok=True)
        run = {
            "config": config,
            "preregistration": preregistration(config),
            "analysis": analysis_sha256(),
            "development_runs": None,
            "command": ["--config=configs/cheese.py", "--config.seeds=2"],
            "probes": {"paired.jsonl": "ab" * 32}
            | ({"bank.txt": "ef" * 32} if self.log_probs else {}),
            **({} if self.kinds is None else {"kinds": self.kinds}),
            "first_probe": "<|im_start|>system\nYou are SmolLM.<|im_end|>",
            "licences": {},
            "numerics": 1,
            "environment": {"commit": "0123abc", "jax": "0.10.2", "vcjax": "0.1.0"},
            "model": {"sha256": "cd" * 32, "licence": "Apache-2.0"},
            "plan": {"stages": stages, "arms": arms},
        }
        (self.workdir / "config.json").write_text(json.dumps(run, sort_keys=True))
        for number, fingerprint in enumerate(stages):
            folder = self.workdir / "stages" / fingerprint
            folder.mkdir(parents=True, exist_ok=True)
            lines = []
            for step in range(10, 70, 10):
                loss = 4.5 - 0.05 * step - 0.01 * number
                line = {"step": step, "loss": loss, "weighted_tokens": 512}
                lines.append(line | {"learning_rate": 1e-4, "grad_norm": 0.5})
                if step % 20 == 0:
                    lines.append({"step": step, "held_out_loss": 2 + (step - 40) ** 2 / 1000})
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / "metrics.jsonl").write_text(text)
        self.score(self.workdir / "probes", self.probes)
        return self.workdir

    def score(self, folder: Path, probes: list[dict], **named: str) -> None:
        for arm in self.arms:
            for seed in range(self.seeds):
                rows = probe_rows(
                    arm, seed if self.arms[arm] else 0, self.effects[arm], probes=probes, **named
                )
                if arm in self.log_probs:
                    text = text_row(arm, seed, self.log_probs[arm] - 0.01 * seed)
                    if self.kinds:
                        self.keep(folder / f"{arm}-{seed}.text.parquet", text)
                    else:
                        text = text_row_among_choices(text)
                        rows = pd.concat([rows, text], ignore_index=True)
                self.keep(folder / f"{arm}-{seed}.parquet", rows.assign(seed=seed))

    def keep(self, path: Path, rows: pd.DataFrame) -> None:
        """rows: of the arm and seed of which the file's name says that it holds them."""
        run = record.read(epath.Path(self.workdir))
        (name, *kind) = path.stem.split(".")
        arm, _, seed = name.rpartition("-")
        probes = dict(zip(rows["file"], rows["file_sha256"], strict=True))
        decided = run.decides(*(kind or ["choice"]), arm, int(seed)) | {"probes": probes}
        answer_files.write(epath.Path(path), rows, decided)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


@pytest.fixture(scope="session")
def new_run() -> type[Run]:
    return Run


@pytest.fixture(name="text_row")
def _text_row():
    return text_row


@pytest.fixture(name="value_pairs", scope="session")
def _value_pairs() -> list[dict]:
    """No test changes them."""
    return value_pairs()


@pytest.fixture(name="other_probes")
def _other_probes() -> list[dict]:
    return other_probes()


@pytest.fixture(name="premise_probes", scope="session")
def _premise_probes() -> list[dict]:
    """No test changes them."""
    return premise_probes()
