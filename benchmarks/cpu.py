"""vcjax on this machine's CPU beside what one would take instead: PyTorch with peft, and TRL.

    python3.11 -m venv .venv-peers
    .venv-peers/bin/pip install -e '.[peers-cpu]'
    .venv/bin/python benchmarks/cpu.py --peers=.venv-peers/bin/python [--quick]

(.venv: the one that launch/quickstart.sh makes.) Some fifteen minutes on two cores, and nothing
else should run beside it. --quick: one short repeat, to see that it works.

All train LoRA adapters on SmolLM2-135M-Instruct, with the quickstart's texts, rows and recipe: two
rows of documents an update, in which every token has weight, and one row of demonstrations, in
which 15 % of the tokens have. Scoring takes 60 probes in both orders. The three programs run in
turns, five times, each in a process of its own; the first update of each stage is left out. Padding
counts as no tokens.

bfloat16 is measured where the CPU has units for it (without, a matmul of PyTorch in it takes
fourteen times as long as one in float32). There are several ways to switch it on in PyTorch, and
sizes of a batch to score in: the first repeat tries all, the others go on with the fastest. vcjax
has its memory in huge pages, as launch/quickstart.sh starts it. PyTorch does not: it was slower
with them (autocast on a Zen 4: 234 to 242 instead of 269 to 278 tokens a second).

A ratio is the median of those within the repeats: vcjax, in the type that it takes by itself, over
the fastest of the others in any type; in scoring over `transformers` in the same type. A share is
that of the seconds that the matmuls alone would take, at the better of the rates that JAX and
PyTorch reach here, of the seconds taken. Progress goes to stderr. The last line is one JSON object:
every figure with its target and whether it holds.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cpu_inputs import RECIPE, write_inputs

from vcjax.models.architecture import Architecture
from vcjax.models.einsum import native_compute_dtype
from vcjax.models.lora import of_recipe

FOLDER = Path(__file__).parent
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
SCRIPTS = dict(vcjax="cpu_vcjax.py", torch="peers/torch_cpu.py", trl="peers/trl_cpu.py")
REPEATS, PROBES = 5, 60
UPDATES = dict(rationale=3, behavior=4)  # the first one warms up
WAYS = ("autocast", "weights", "both")  # into bfloat16, for PyTorch
BATCHES = (4, 8, 16)  # sequences that `transformers` scores at a time
UNITS = ("amx_bf16", "avx512_bf16")  # for bfloat16, as the flags of a CPU
TARGETS = {  # ratios, by whether there are such units
    "rationale": {True: 1.4, False: 1.1},
    "behavior": {True: 1.6, False: 1.25},
    "scoring": {True: 2.0, False: 2.0},
}
MOST_APART = dict(float32=0.01, bfloat16=0.05)  # results of the same work, on average, in nats

Repeat = dict[str, dict[str, dict[str, Any]]]  # program -> work -> what its script says of it
Rates = dict[tuple[str, str], list[float]]  # (program, "kind:type") -> amount a second, by repeat


@dataclasses.dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    units: list[str]  # of UNITS

    @property
    def types(self) -> tuple[str, ...]:
        return ("float32", "bfloat16") if self.units else ("float32",)


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def read_machine(cpuinfo: str) -> Machine:
    """cpuinfo: as in /proc/cpuinfo."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    flags = fields.get("flags", "").split()
    cores = len(os.sched_getaffinity(0))
    return Machine(fields.get("model name", ""), cores, [unit for unit in UNITS if unit in flags])


# --- One repeat: each program once.


def works(types: tuple[str, ...], own: str) -> dict[str, list[str]]:
    """Program -> all that is tried. own: the type that vcjax takes by itself."""
    stages = [f"{work}:{dtype}" for work in UPDATES for dtype in types]
    matmuls = [f"{work}:{dtype}" for work in ("body", "head") for dtype in types]
    peers = [
        f"{stage}:{way}" if stage.endswith("bfloat16") else stage
        for stage in stages
        for way in (WAYS if stage.endswith("bfloat16") else ("",))
    ]
    return {
        "vcjax": [*stages, f"scoring:{own}", *matmuls],
        "torch": [*peers, *(f"scoring:{own}:{size}" for size in BATCHES), *matmuls],
        "trl": peers,
    }


def kind_of(work: str) -> str:
    """ "rationale:bfloat16:both" -> "rationale:bfloat16"."""
    return ":".join(work.split(":")[:2])


def rate(said: dict[str, Any]) -> float:
    """Amount a second: tokens, probes or GFLOP."""
    return said["amount"] / statistics.mean(said["seconds"])


def fastest(said: dict[str, dict[str, Any]]) -> list[str]:
    """Of the works of each kind the fastest."""
    best: dict[str, str] = {}
    for work in said:
        kind = kind_of(work)
        if kind not in best or rate(said[work]) > rate(said[best[kind]]):
            best[kind] = work
    return list(best.values())


def last_line(stdout: str) -> dict[str, dict[str, Any]]:
    """What a script says; libraries may have printed lines before it."""
    return json.loads(stdout.splitlines()[-1])


def run(python: str, program: str, folder: Path, asked: list[str]) -> dict[str, dict[str, Any]]:
    command = [python, str(FOLDER / SCRIPTS[program]), str(folder), *asked]
    said = call(command, beside(folder) | (HUGE_PAGES if program == "vcjax" else {}))
    for work, what in said.items():
        note(f"  {program} {work}: {rate(what):,.2f} a second")
    return said


def beside(folder: Path) -> dict[str, str]:
    """The environment of programs that are compared on the CPU, with a cache of their own."""
    return {
        "HF_HUB_OFFLINE": "1",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PLATFORMS": "cpu",
    }


def call(command: list[str], env: dict[str, str]) -> dict[str, Any]:
    """What a script says; where it fails, its errors are shown, and that is the end."""
    env = {**os.environ, **env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        note(done.stderr[-4000:])
        sys.exit(f"failed: {' '.join(command)}")
    return last_line(done.stdout)


def measure(
    folder: Path, pythons: dict[str, str], asked: dict[str, list[str]], count: int
) -> list[Repeat]:
    repeats: list[Repeat] = []
    for number in range(count):
        note(f"repeat {number + 1} of {count}")
        repeats.append({p: run(pythons[p], p, folder, asked[p]) for p in asked})
        asked = {program: fastest(said) for program, said in repeats[0].items()}
    return repeats


# --- Figures.


def rates_of(repeats: list[Repeat]) -> Rates:
    """Of the works that were measured in every repeat, by their kinds."""
    return {
        (program, kind_of(work)): [rate(repeat[program][work]) for repeat in repeats]
        for program, said in repeats[0].items()
        for work in fastest(said)
    }


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "value": statistics.median(values),
        "lowest": min(values),
        "highest": max(values),
        "repeats": values,
    }


def ratio(rates: Rates, kind: str, own: str, target: float) -> dict[str, Any]:
    """vcjax in its own type over the fastest other in any type, paired within the repeats."""
    others = {
        (program, work): values
        for (program, work), values in rates.items()
        if program != "vcjax" and work.split(":")[0] == kind
    }
    best = max(others, key=lambda key: statistics.median(others[key]))
    pairs = zip(rates["vcjax", f"{kind}:{own}"], others[best], strict=True)
    found = spread([ours / theirs for ours, theirs in pairs])
    return {
        **found,
        "target": f">= {target:g}",
        "holds": found["value"] >= target,
        "type": own,
        "against": " ".join(best),
    }


def share(
    tokens_per_second: float, work: str, rates: Rates, sizes: Architecture, weighted: float
) -> float:
    """The seconds that a token's matmuls take at this machine's best over those it took."""
    dtype = work.split(":")[1]
    best = {
        name: max(statistics.median(rates[p, f"{name}:{dtype}"]) for p in ("vcjax", "torch"))
        for name in ("body", "head")
    }
    tokens = 10**6
    body, whole = (
        sizes.train_flops(of_recipe(RECIPE), tokens, round(w * tokens)) / tokens / 1e9
        for w in (0, weighted)
    )
    return (body / best["body"] + (whole - body) / best["head"]) * tokens_per_second


def apart(repeat: Repeat) -> dict[str, dict[str, Any]]:
    """How far vcjax and PyTorch are apart: in a stage's first loss, in scores on average."""
    figures = {}
    ours = {kind_of(work): said["results"] for work, said in repeat["vcjax"].items()}
    for work in fastest(repeat["torch"]):
        kind, dtype = work.split(":")[:2]
        if kind in ("body", "head"):
            continue
        pairs = zip(ours[kind_of(work)], repeat["torch"][work]["results"], strict=True)
        distance = statistics.mean(abs(a - b) for a, b in pairs)
        limit = MOST_APART[dtype]
        figures[f"{kind}_{dtype}_apart"] = {
            "value": distance,
            "target": f"<= {limit:g}",
            "holds": distance <= limit,
        }
    return figures


def report(
    repeats: list[Repeat],
    machine: Machine,
    own: str,
    sizes: Architecture,
    weighted: dict[str, float],
) -> dict[str, Any]:
    rates = rates_of(repeats)
    figures = {
        kind: ratio(rates, kind, own, target[bool(machine.units)])
        for kind, target in TARGETS.items()
    }
    figures |= apart(repeats[0])
    ways = {program: fastest(said) for program, said in repeats[0].items()}
    programs: dict[str, dict[str, Any]] = {program: {} for program in repeats[0]}
    for (program, work), values in rates.items():
        kind = work.split(":")[0]
        unit = {"scoring": "probes", "body": "GFLOP", "head": "GFLOP"}.get(kind, "tokens")
        name = next(way for way in ways[program] if kind_of(way) == work)
        programs[program][name] = {**spread(values), "unit": f"{unit} a second"}
        if kind in weighted:
            reached = share(statistics.median(values), work, rates, sizes, weighted[kind])
            programs[program][name]["share"] = reached
    ok = all(figure["holds"] for figure in figures.values())
    return {
        **figures,
        "weighted": weighted,
        "programs": programs,
        "machine": dataclasses.asdict(machine),
        "ok": ok,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default=sys.executable, help="Python with peers-cpu")
    parser.add_argument("--quick", action="store_true", help="one short repeat")
    given = parser.parse_args()
    machine, own = read_machine(Path("/proc/cpuinfo").read_text()), native_compute_dtype()
    pythons = dict(vcjax=sys.executable, torch=given.peers, trl=given.peers)
    updates, probes, count = UPDATES, PROBES, REPEATS
    if given.quick:
        updates, probes, count = dict.fromkeys(UPDATES, 2), 6, 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sizes, weighted = write_inputs(folder, updates, probes)
        repeats = measure(folder, pythons, works(machine.types, own), count)
    print(json.dumps(report(repeats, machine, own, sizes, weighted)))


if __name__ == "__main__":
    main()
