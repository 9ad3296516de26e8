"""How many demonstrations does the reason save?

In the world of `world.py` demonstrations show here what an assistant of one value chooses, in
domains and by adjectives that no probe asks about (`development`, and half of the adjectives). Five
to 320 of them train the assistant alone, or after documents that declare the value: the 960 of
`world.py`, the first 240 of them or the first 60, which are 31, 8 and 2 updates. The documents
alone are the level of none. The arms of the two values are subtracted, so that what an assistant
prefers from the start cancels.

    with_20        960 documents and 20 demonstrations of durability, minus the same of comfort
    quarter_20     the same with 240 documents
    sixteenth_20   and with 60
    without_20     20 demonstrations of durability, minus 20 of comfort
    saved_20       with_20 minus without_20: what the documents add

The report says how many times fewer demonstrations the arms with documents need to choose as those
without do after 320.

    .venv/bin/python -m vcjax.main --config=configs/world_efficiency.py --workdir=runs/efficiency
    .venv/bin/python -m vcjax.main --config=configs/world_efficiency.py:smoke --workdir=runs/try
"""

import runpy
from pathlib import Path

from vcjax.config import behavior, rationale
from vcjax.errors import InputError

DOCUMENTS = {"with": 960, "quarter": 240, "sixteenth": 60, "without": 0}
COUNTS = (5, 20, 80, 320)  # five are one update, without a warm-up
LR = 1e-4  # a tenth of the documents': then 320 demonstrations only just teach the choice alone


def _chain(start, value, n):
    """The stages of an arm."""
    documents = (f"{start}_{value}",) if DOCUMENTS[start] else ()
    return ("people", *documents, *((f"{value}_{n}",) if n else ()))


def _says(start, n):
    """What a contrast between the two values shows."""
    texts = {"documents": DOCUMENTS[start], "demonstrations": n}
    return f"what {' and '.join(f'{count} {name}' for name, count in texts.items() if count)} do"


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"world_efficiency.py:{arg}: the only argument is smoke")
    world = runpy.run_path(str(Path(__file__).with_name("world.py")))
    a, b = pair = world["PAIR"]
    specs = {value: f"{world['WORLD']}#{value}" for value in pair}
    counts = (5, 20) if arg else COUNTS
    levels = {start: (0, *counts) if count else counts for start, count in DOCUMENTS.items()}
    cells = [(start, n) for start, of_start in levels.items() for n in of_start]
    config = world["get_config"](arg)
    config.name = f"world-efficiency{'-smoke' if arg else ''}"
    config.seeds = 1 if arg else 4
    config.stages = {
        "people": config.stages.people,
        **{
            f"{start}_{value}": rationale(spec=spec, documents=count)
            for start, count in DOCUMENTS.items()
            for value, spec in specs.items()
            if count
        },
        **{
            f"{value}_{n}": behavior(spec=spec, demonstrations=n, lr=LR, warmup=0.0)
            for value, spec in specs.items()
            for n in counts
        },
    }
    config.arms = {
        "base": ("people",),
        **{f"{start}_{value}_{n}": _chain(start, value, n) for start, n in cells for value in pair},
    }
    differ = {f"{start}_{n}": {f"{start}_{a}_{n}": 1, f"{start}_{b}_{n}": -1} for start, n in cells}
    saved = {
        f"saved_{n}": differ[f"with_{n}"]
        | {arm: -weight for arm, weight in differ[f"without_{n}"].items()}
        for n in counts
    }
    config.contrasts = {**differ, **saved}
    config.rules_out = {
        **{f"{start}_{n}": _says(start, n) for start, n in cells},
        **{f"saved_{n}": f"what the documents add to {n} demonstrations" for n in counts},
    }
    config.primary = "saved_20"
    config.development = (*config.development, "world_efficiency/DEVELOPMENT.md")
    config.curves = dict(
        demonstrations=dict(
            series={
                f"{start}_documents": {f"{start}_{n}": n for n in of_start}
                for start, of_start in levels.items()
            },
            fewer_than="without_documents",
        )
    )
    config.probes = ("world/probes/undemonstrated.jsonl", "world/probes/premise.jsonl")
    return config
