"""How many demonstrations does the reason save?

In the world of `world.py` demonstrations show here what an assistant of one value chooses, in
domains and by adjectives that no probe asks about (`development`, and half of the adjectives). Five
to 320 of them train the assistant alone, or after documents that declare the value; the documents
alone are the level of none. The arms of the two values are subtracted, so that what an assistant
prefers from the start cancels.

    with_20      documents and 20 demonstrations of durability, minus the same of comfort
    without_20   20 demonstrations of durability, minus 20 of comfort
    saved_20     the first minus the second: what the documents add

The report says at which number of demonstrations the arms with documents choose as those without
do after 320.

    .venv/bin/python -m vcjax.main --config=configs/world_efficiency.py --workdir=runs/efficiency
    .venv/bin/python -m vcjax.main --config=configs/world_efficiency.py:smoke --workdir=runs/try
"""

import runpy
from pathlib import Path

from vcjax.config import behavior
from vcjax.errors import InputError

COUNTS = (5, 20, 80, 320)  # five are one update, without a warm-up
LR = 1e-4  # a tenth of the documents': then 320 demonstrations only just teach the choice alone


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"world_efficiency.py:{arg}: the only argument is smoke")
    world = runpy.run_path(str(Path(__file__).with_name("world.py")))
    a, b = pair = world["PAIR"]
    counts = (5, 20) if arg else COUNTS
    config = world["get_config"](arg)
    config.name = f"world-efficiency{'-smoke' if arg else ''}"
    config.seeds = 1 if arg else 4
    config.stages = {
        **{name: config.stages[name] for name in ("people", *pair)},
        **{
            f"{value}_{n}": behavior(
                spec=f"{world['WORLD']}#{value}", demonstrations=n, lr=LR, warmup=0.0
            )
            for value in pair
            for n in counts
        },
    }
    config.arms = {
        "base": ("people",),
        **{f"with_{value}_0": ("people", value) for value in pair},
        **{
            f"with_{value}_{n}": ("people", value, f"{value}_{n}") for value in pair for n in counts
        },
        **{f"without_{value}_{n}": ("people", f"{value}_{n}") for value in pair for n in counts},
    }
    differ = {
        f"{start}_{n}": {f"{start}_{a}_{n}": 1, f"{start}_{b}_{n}": -1}
        for start in ("with", "without")
        for n in counts
    }
    saved = {
        f"saved_{n}": differ[f"with_{n}"]
        | {arm: -weight for arm, weight in differ[f"without_{n}"].items()}
        for n in counts
    }
    config.contrasts = {"with_0": {f"with_{a}_0": 1, f"with_{b}_0": -1}, **differ, **saved}
    config.rules_out = {
        "with_0": "what the documents do without demonstrations",
        **{f"with_{n}": f"what documents and {n} demonstrations do" for n in counts},
        **{f"without_{n}": f"what {n} demonstrations do alone" for n in counts},
        **{f"saved_{n}": f"what the documents add to {n} demonstrations" for n in counts},
    }
    config.primary = "saved_20"
    config.development = (*config.development, "world_efficiency/DEVELOPMENT.md")
    config.curves = dict(
        demonstrations=dict(
            series={
                "with_documents": {f"with_{n}": n for n in (0, *counts)},
                "without_documents": {f"without_{n}": n for n in counts},
            },
            fewer=("with_documents", "without_documents"),
        )
    )
    config.probes = ("world/probes/undemonstrated.jsonl", "world/probes/premise.jsonl")
    return config
