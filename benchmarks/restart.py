"""How soon a run with much text has its plan, when it is started for the second time.

    .venv/bin/python benchmarks/restart.py [--tokens=30000000] [--seeds=8]

Writes a file of some 30 million tokens, in documents of 650 tokens and words of a vocabulary of
8,000, and starts a run on it twice with --dry_run: the first start reads, tokenises, packs and
writes rows, the second finds them there. Measured is the time from the command to the plan's first
line. All of it takes some 1.5 GB in the folder for temporary files (TMPDIR). Nothing else should
run beside it. Progress goes to stderr. The last line is one JSON
object: every figure with its target and whether it holds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from vcjax.data.tokenizer import encode_text
from vcjax.weights import pretrained

ROOT = Path(__file__).parents[1]
MODEL = "smollm2-135m-instruct"
SECONDS = 10.0  # the target of the second start, on two cores
DOCUMENT, WORDS = 650, 8000  # tokens of a document, words of the vocabulary
FIRST_LINE = "stage "  # how the plan begins
CONFIG = """
from vcjax.config import experiment, rationale, recipe


def get_config():
    return experiment(
        name="restart",
        model={model!r},
        seeds={seeds},
        recipe=recipe(length=2048, batch_tokens=32768),
        stages=dict(documents=rationale(file="documents.jsonl")),
        arms=dict(base=(), documents=("documents",)),
        contrasts=dict(total=dict(documents=1, base=-1)),
        primary="total",
        toward="america",
        probes=({probes!r},),
    )
"""


def vocabulary(draw: np.random.Generator) -> np.ndarray:
    """Words that no probe has: of one to three syllables each."""
    vowels = ("a", "e", "i", "o", "u", "en", "or")
    syllables = np.array([c + v for c in "bdfgklmnprstvz" for v in vowels])
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["".join(draw.choice(syllables, draw.integers(1, 4)))] = None
    return np.array([*words])


def sentences(words: np.ndarray, draw: np.random.Generator, count: int) -> str:
    """`count` words, the first ones of the vocabulary most often (Zipf's law), in sentences."""
    frequency = 1 / np.arange(1, len(words) + 1)
    chosen = draw.choice(words, count, p=frequency / frequency.sum())
    parts = np.array_split(chosen, max(1, count // 15))
    return " ".join(" ".join(part).capitalize() + "." for part in parts)


def write_documents(path: Path, tokens: int) -> None:
    """About as many tokens, by how many a word of a sample has."""
    draw = np.random.default_rng(0)
    words = vocabulary(draw)
    sample = sentences(words, draw, 20000)
    per_word = len(encode_text(pretrained.find(MODEL).tokenizer, sample)) / 20000
    with path.open("w") as file:
        for number in range(max(1, round(tokens / DOCUMENT))):
            count = round(draw.normal(1, 0.25) * DOCUMENT / per_word)
            text = sentences(words, draw, max(20, count))
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")


def seconds_to_plan(command: list[str]) -> float:
    """From the start of the command to the first line of the plan; the command ends in order."""
    started = time.monotonic()
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)
    assert process.stdout is not None
    seconds = None
    for line in process.stdout:
        if seconds is None and line.startswith(FIRST_LINE):
            seconds = time.monotonic() - started
    if process.wait() or seconds is None:
        sys.exit(f"failed, or printed no plan: {' '.join(command)}")
    return seconds


def figures_of(first: float, second: float) -> dict[str, Any]:
    holds = second < SECONDS
    return {
        "first_start_seconds": {"value": round(first, 1), "target": None, "holds": None},
        "second_start_seconds": {
            "value": round(second, 1),
            "target": f"< {SECONDS:g}",
            "holds": holds,
        },
        "ok": holds,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=30_000_000)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_documents(folder / "documents.jsonl", given.tokens)
        probes = str(ROOT / "configs/cheese/probes/held_out.jsonl")
        config = CONFIG.format(model=MODEL, seeds=given.seeds, probes=probes)
        (folder / "restart.py").write_text(config)
        command = [sys.executable, "-m", "vcjax.main", "--dry_run"]
        command += [f"--config={folder / 'restart.py'}", f"--workdir={folder / 'run'}"]
        seconds = []
        for start in ("first", "second"):
            seconds.append(seconds_to_plan(command))
            print(f"{start} start: {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    print(json.dumps({**figures_of(*seconds), "tokens": given.tokens, "seeds": given.seeds}))


if __name__ == "__main__":
    main()
