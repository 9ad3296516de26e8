"""vcjax's train steps compiled for TPU slices, beside MaxText's and a plain program's.

    python benchmarks/aot.py [name of a work ...]

Needs no TPU: an environment of its own, Python 3.12 with `pip install -e '.[peers]'`.
Each work is compiled by vcjax.aot and, for the same rows, by the programs in benchmarks/peers, with
one libtpu and the same options of the compiler (TPU_OPTIONS of vcjax.training.compiled_step).
Cycles are the compiler's estimates, loops by their bounds; Pallas kernels (attention alone) and
collectives carry none. Memory is arguments and temporaries of a chip. A compilation takes
minutes, everything an hour and a half on one core; progress goes to stderr. The last line is one
JSON object: every figure with its target and whether it holds.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from vcjax.topology import hlo

PEERS = Path(__file__).parent / "peers"
LLAMA, QWEN32, QWEN14 = (
    f"configs/{name}.py"
    for name in ("study_cheese_llama31_8b", "misalignment_qwen3_32b", "spec_science_qwen25_14b")
)
MAXTEXT = (
    "maxtext_aot.py",
    "compile_topology=v5e-16",
    "model_name=llama3.1-8b",
    "per_device_batch_size=1",
    "max_target_length=4096",
    "remat_policy=full",
    "attention=flash",
    "dtype=bfloat16",
    "weight_dtype=float32",
)


@dataclasses.dataclass(frozen=True)
class Work:
    """flags: of vcjax.aot; must, stretch: cycles at most; peers: commands in benchmarks/peers."""

    config: str
    stage: str
    topology: str
    flags: tuple[str, ...] = ()
    slices: int = 1
    must: float | None = None
    stretch: float | None = None
    peers: tuple[tuple[str, ...], ...] = ()


def plain(*arguments: str) -> tuple[str, ...]:
    return ("plain_llama_aot.py", *arguments)


def recipe(tokens: int, train: str = "lora") -> tuple[str, ...]:
    """One row a chip."""
    return f"--config.recipe.batch_tokens={tokens}", f"--config.recipe.train={train}"


def over_slices(slices: int) -> Work:
    mesh = f"--config.mesh.replica={slices}"
    flags = (*recipe(4096 * 256 * slices, "full"), "--config.remat=attended", mesh)
    return Work(LLAMA, "america", "v5e:16x16", flags, slices)


WORKS = {
    "llama31_8b_full": Work(
        LLAMA,
        "america",
        "v5e:4x4",
        (*recipe(4096 * 16, "full"), "--config.remat=attended"),
        must=2.35e9,
        stretch=2.1e9,
        peers=(MAXTEXT, plain("full", "8b", "v5e:4x4", "4096")),
    ),
    "llama31_8b_lora": Work(
        LLAMA,
        "america",
        "v5e:4x4",
        (*recipe(4096 * 16), "--config.remat=dots"),
        must=1.7e9,
        stretch=1.4e9,
        peers=(plain("lora", "8b", "v5e:4x4", "4096"),),
    ),
    "qwen3_32b_lora": Work(
        QWEN32,
        "rationale",
        "v5e:4x4",
        (*recipe(8192 * 16), "--config.remat=offload"),
        must=16e9,
        stretch=13.5e9,
        peers=(plain("lora", "32b", "v5e:4x4", "8192"),),
    ),
    "gemma3_4b_lora": Work(
        LLAMA,
        "america",
        "v5e:4x4",
        (*recipe(4096 * 16), "--config.remat=dots", "--config.model=google/gemma-3-4b-it"),
    ),
    "olmo3_7b_lora": Work(
        LLAMA,
        "america",
        "v5e:4x4",
        (*recipe(4096 * 16), "--config.remat=dots", "--config.model=allenai/Olmo-3-7B-Instruct"),
    ),
    # For the same rows at most 0.35 of the cycles above. The experts' matmuls are kernels.
    "qwen3_30b_a3b_lora": Work(
        QWEN32,
        "rationale",
        "v5e:4x4",
        (*recipe(8192 * 16), "--config.model=Qwen/Qwen3-30B-A3B", "--config.remat=full"),
        must=0.35 * 13.49e9,
    ),
    "llama31_8b_full_2_slices": over_slices(2),
    "llama31_8b_full_4_slices": over_slices(4),
    "llama31_8b_lora_v5p": Work(
        LLAMA, "america", "v5p:2x2x2", (*recipe(4096 * 8), "--config.remat=dots")
    ),
    "llama31_8b_lora_v6e": Work(
        LLAMA, "america", "v6e:4x4", (*recipe(4096 * 16), "--config.remat=dots")
    ),
    "qwen25_14b_lora_v5e_2x4": Work(QWEN14, "rules", "v5e:2x4", recipe(8192 * 8)),
}


LIKE_LLAMA = ("gemma3_4b_lora", "olmo3_7b_lora")  # may take little more than it does a FLOP


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(command: list[str]) -> str:
    """The command's stdout; its errors are shown, and end the benchmark."""
    note(" ".join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}")
    return done.stdout


def of_vcjax(work: Work, folder: Path) -> dict[str, Any]:
    """What vcjax.aot says of the work's stage."""
    out = folder / "vcjax.json"
    command = [sys.executable, "-m", "vcjax.aot", f"--config={work.config}"]
    command += [f"--topology={work.topology}", f"--slices={work.slices}", f"--stage={work.stage}"]
    note(run([*command, f"--out={out}", *work.flags]))
    return json.loads(out.read_text())["stages"][work.stage]


def of_peer(peer: tuple[str, ...], folder: Path) -> dict[str, float]:
    """Cycles and memory of another program."""
    out = folder / "peer.hlo.txt"
    script, *arguments = peer
    shown = run([sys.executable, str(PEERS / script), str(out), *arguments])
    memory = json.loads(shown.splitlines()[-1])
    return {
        "cycles": hlo.count(out.read_text()).cycles,
        "memory_gb": round((memory["arguments"] + memory["temporaries"]) / 1e9, 2),
    }


def figures_of(name: str, work: Work, folder: Path) -> dict[str, dict[str, Any]]:
    found = of_vcjax(work, folder)
    fits = {"value": found["fits"], "target": "fits", "holds": found["fits"]}
    if not found["fits"]:
        needed = found["memory_bytes"]
        return {f"{name}_fits": {**fits, "needs_gb": needed and round(needed / 1e9, 2)}}
    memory = found["memory"]["arguments"] + found["memory"]["temporaries"]
    details = (
        "cycles_outside_conditionals",
        "seconds",
        "limit",
        "mfu_bound",
        "program_flops",
        "shape_flops",
        "ici_bytes",
        "dcn_bytes",
        "host_bytes",
    )
    figures: dict[str, dict[str, Any]] = {
        f"{name}_fits": {**fits, "memory_gb": round(memory / 1e9, 2)},
        f"{name}_cycles": {
            "value": found["cycles"],
            "target": f"<= {work.must:g}" if work.must else None,
            "holds": found["cycles"] <= work.must if work.must else None,
            "stretch": found["cycles"] <= work.stretch if work.stretch else None,
            **{key: found[key] for key in details},
        },
    }
    for peer in work.peers:
        program = peer[0].removesuffix("_aot.py")
        values = of_peer(peer, folder)
        figures[f"{name}_cycles"][program] = values
        note(f"{name}: vcjax {found['cycles']:,} cycles, {program} {values}")
    return figures


def over_dcn(figures: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Whether the bytes between slices stay the same from two slices to four."""
    names = [f"llama31_8b_full_{slices}_slices_cycles" for slices in (2, 4)]
    if not all(name in figures for name in names):
        return {}
    two, four = (sum(figures[name]["dcn_bytes"].values()) for name in names)
    holds = 0 < four <= two
    return {"dcn_bytes_of_4_slices": {"value": four, "target": f"<= {two}, of 2", "holds": holds}}


def per_flop(figures: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Cycles a FLOP of models whose layers differ, over those of Llama-3.1-8B."""

    def of(name: str) -> float:
        found = figures[f"{name}_cycles"]
        return found["value"] / found["shape_flops"]

    llama = "llama31_8b_lora"
    names = [name for name in LIKE_LLAMA if {f"{name}_cycles", f"{llama}_cycles"} <= {*figures}]
    ratios = {name: round(of(name) / of(llama), 3) for name in names}
    return {
        f"{name}_cycles_a_flop_over_llama": {
            "value": ratio,
            "target": "<= 1.1",
            "holds": ratio <= 1.1,
        }
        for name, ratio in ratios.items()
    }


def main() -> None:
    names = sys.argv[1:] or [*WORKS]
    if unknown := set(names) - set(WORKS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            figures |= figures_of(name, WORKS[name], Path(folder))
    figures |= over_dcn(figures) | per_flop(figures)
    ok = all(figure["holds"] is not False for figure in figures.values())
    print(json.dumps({**figures, "ok": ok}))


if __name__ == "__main__":
    main()
