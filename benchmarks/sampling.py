"""Sampling on this machine's CPU beside `transformers`; its decode step on a TPU, compiled alone.

    .venv/bin/python benchmarks/sampling.py [--tpu=.venv-tpu/bin/python] [--repeats=5]

(.venv: the one that launch/test.sh makes, which has PyTorch and transformers; .venv-tpu: the one
that launch/aot.sh makes.) SmolLM2-135M-Instruct answers the quickstart's questions, 64 tokens each,
the likeliest ones: one question alone, then 32 at once, in turns with `generate` of transformers in
float32 and, where the CPU has units for it, in bfloat16; the faster counts. Then four arms of rank
64 with eight questions each, all together and one arm after the other. A ratio is the median of
those within the repeats, each program in a process of its own. Memory is that of the process over
2,000 answers. With --tpu, a step of Qwen3-32B with 64 texts of 4,096 tokens on a v5e 4x4: the bytes
that a chip's program reads, over those of its weights and its cache once. Progress goes to stderr.
The last line is one JSON object: every figure with its target and whether it holds. Nothing else
should run beside it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cpu
from cpu_inputs import CHEESE, write_model

from vcjax.data.chat import encode_prompt
from vcjax.models.einsum import native_compute_dtype
from vcjax.weights import pretrained
from vcjax.workdir import files

SCRIPTS = dict(vcjax="sampling_vcjax.py", transformers="peers/transformers_generate.py")
NEW_TOKENS = 64
ROWS = {1: 1.5, 32: 2.0}  # at once -> the target of the ratio
TOGETHER = 1.5  # four arms together over one after the other
GROWTH = 0.02  # of memory, from the first fifth of the answers to the last, at most
BYTES_READ = 1.3  # over weights and cache once


def write_inputs(folder: Path) -> None:
    """The model as a Hugging Face folder, and the first of the held-out questions."""
    found = pretrained.find("smollm2-135m-instruct")
    write_model(folder / "model", found, pretrained.open_weights(found.path))
    lines = (CHEESE / "probes/held_out.jsonl").read_text().splitlines()[: max(ROWS)]
    prompts = []
    for line in lines:
        probe = json.loads(line)
        a, b = probe["options"]
        question = probe["template"].replace("{a}", a).replace("{b}", b)
        messages = [{"role": "user", "content": question}]
        prompts.append(encode_prompt(found.tokenizer, messages, "a probe"))
    files.write_json(folder / "settings.json", dict(prompts=prompts, new_tokens=NEW_TOKENS))


def command(program: str) -> list[str]:
    return [sys.executable, str(cpu.FOLDER / SCRIPTS[program])]


def on_cpu(repeats: int) -> dict[str, dict[str, Any]]:
    own = native_compute_dtype()
    rows = [f"rows:{own}:{count}" for count in ROWS]
    asked = {
        "transformers": [
            f"rows:{dtype}:{count}" for count in ROWS for dtype in dict.fromkeys(("float32", own))
        ],
        "vcjax": [*rows, f"together:{own}", f"one by one:{own}"],
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_inputs(folder)
        env = cpu.beside(folder)
        said: list[dict[str, float]] = []
        for number in range(repeats):
            cpu.note(f"repeat {number + 1} of {repeats}")
            rates: dict[str, float] = {}
            for program, works in asked.items():
                pages = cpu.HUGE_PAGES if program == "vcjax" else {}
                found = cpu.call([*command(program), str(folder), *works], env | pages)
                rates |= {f"{program} {work}": cpu.rate(what) for work, what in found.items()}
            for work, rate in rates.items():
                cpu.note(f"  {work}: {rate:,.1f} tokens a second")
            said.append(rates)
        (bytes_,) = cpu.call([*command("vcjax"), str(folder), f"memory:{own}"], env).values()
    figures = {
        f"rows_{count}": _ratio(
            said, f"vcjax rows:{own}:{count}", f"transformers rows:{{}}:{count}"
        )
        | dict(target=f">= {target:g}")
        for count, target in ROWS.items()
    }
    figures["arms_together"] = _ratio(said, f"vcjax together:{own}", f"vcjax one by one:{own}")
    figures["arms_together"]["target"] = f">= {TOGETHER:g}"
    for figure in figures.values():
        figure["holds"] = figure["value"] >= float(figure["target"].split()[1])
    growth = bytes_["bytes"][-1] / bytes_["bytes"][0] - 1
    figures["memory_growth"] = dict(
        value=growth, target=f"< {GROWTH:g}", holds=growth < GROWTH, bytes=bytes_["bytes"]
    )
    return figures


def _ratio(said: list[dict[str, float]], ours: str, theirs: str) -> dict[str, Any]:
    """theirs: may leave the type open, {}; the faster one, over all repeats, counts."""
    names = {theirs.format(dtype) for dtype in ("float32", "bfloat16")} & said[0].keys()
    best = max(names, key=lambda name: sorted(rates[name] for rates in said)[len(said) // 2])
    ratios = cpu.spread([rates[ours] / rates[best] for rates in said])
    speeds = {name: [round(rates[name], 1) for rates in said] for name in (ours, best)}
    return {**ratios, "against": best, "tokens_per_second": speeds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tpu", help="a Python with JAX for TPUs; without, their step is left out")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    figures = {}
    if given.tpu:
        here = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(cpu.FOLDER.parent)}
        step = cpu.call([given.tpu, str(cpu.FOLDER / "sampling_tpu.py")], here)
        ratio = step["bytes_read"] / step["bytes_floor"]
        figures["tpu_bytes_read"] = dict(
            value=ratio, target=f"<= {BYTES_READ:g}", holds=ratio <= BYTES_READ, **step
        )
        figures["tpu_memory_bytes"] = dict(
            value=step["memory_bytes"],
            target=f"<= {step['memory_limit']}",
            holds=step["memory_bytes"] <= step["memory_limit"],
        )
    figures |= on_cpu(given.repeats)
    print(json.dumps({**figures, "ok": all(figure["holds"] for figure in figures.values())}))


if __name__ == "__main__":
    main()
