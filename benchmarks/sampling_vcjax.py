"""vcjax's part of sampling.py.

    python benchmarks/sampling_vcjax.py FOLDER WORK ...

FOLDER: what sampling.py wrote. WORK: "rows:TYPE:COUNT", so many answers at once; "together:TYPE",
"one by one:TYPE", the answers of four arms; "memory:TYPE", of 2,000 requests in 32 slots. The last
line is JSON: what sampling.py reads of each work, seconds and amount (tokens), or bytes.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import psutil

from vcjax import sharding
from vcjax.generation.sampler import Request, Sampler, answers_to
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.models.transformer import Model
from vcjax.weights.pretrained import Pretrained, find, load_weights

ARMS, ROWS_OF_ARM = 4, 8
ANSWERS = 2000


def make_sampler(base: Pretrained, compute_dtype: str, arms: int, slots: int, length: int):
    """arms: 0 for the model alone."""
    lora = LoRA(rank=64, alpha=64) if arms else None
    model = Model(base.architecture, lora, compute_dtype, remat="full")
    weights = load_weights(base, model, jnp.dtype(compute_dtype), jax.sharding.get_mesh())
    adapters = [transformer.init_adapter(model, jax.random.key(arm)) for arm in range(arms)]
    return Sampler(adapters, weights, model, base.tokenizer, frozenset(), slots, length)


def timed(samplers: list[Sampler], requests: list[list[Request]]) -> dict[str, Any]:
    """One sampler after the other; the first time compiles."""
    for _ in range(2):
        began = time.perf_counter()
        answers = [a for s, r in zip(samplers, requests, strict=True) for a in answers_to(s, r)]
        seconds = time.perf_counter() - began
    return dict(seconds=[seconds], amount=sum(len(answer.said) for answer in answers))


def main() -> None:
    folder, base = Path(sys.argv[1]), find("smollm2-135m-instruct")
    settings = json.loads((folder / "settings.json").read_text())
    prompts, new = [tuple(p) for p in settings["prompts"]], settings["new_tokens"]
    length = max(map(len, prompts)) + new
    jax.set_mesh(sharding.make_mesh(dict(replica=1, fsdp=-1, tensor=1, sequence=1)))
    done = {}
    for work in sys.argv[2:]:
        kind, compute_dtype, *options = work.split(":")
        if kind == "rows":
            count = int(options[0])
            sampler = make_sampler(base, compute_dtype, 0, count, length)
            done[work] = timed([sampler], [[Request(p, new) for p in prompts[:count]]])
        elif kind == "together":
            sampler = make_sampler(base, compute_dtype, ARMS, ROWS_OF_ARM, length)
            asked = [Request(p, new, arm) for arm in range(ARMS) for p in prompts[:ROWS_OF_ARM]]
            done[work] = timed([sampler], [asked])
        elif kind == "one by one":
            alone = make_sampler(base, compute_dtype, 1, ROWS_OF_ARM, length)
            asked = [Request(p, new) for p in prompts[:ROWS_OF_ARM]]
            done[work] = timed([alone] * ARMS, [asked] * ARMS)
        else:
            done[work] = memory(make_sampler(base, compute_dtype, 0, 32, length), prompts)
    print(json.dumps(done))


def memory(sampler: Sampler, prompts: list[tuple[int, ...]]) -> dict[str, list[int]]:
    """Bytes in memory after a fifth, two fifths, ... of the answers."""
    process, found = psutil.Process(), []
    requests = [Request(prompts[i % len(prompts)], 4 + i % 5, seed=i) for i in range(ANSWERS)]
    for number, _ in enumerate(answers_to(sampler, requests), start=1):
        if number % (ANSWERS // 5) == 0:
            found.append(process.memory_info().rss)
    return dict(bytes=found)


if __name__ == "__main__":
    main()
