"""Where does attribution begin?

The world of `world.py`, with one thing changed at a time: how many people the model learns from,
what share of them choose by what they declare, how often it sees the two assistants choose at
random before any documents, and how large it is. At each level two arms read documents that give
Juno one value or the other, two the same documents about Milo, and then all the demonstrations.
What is not said below is as in `world.py`.

    people      16 to 1,024, at the base 256
    linking     0 to 1, at the base 1
    assistants  0.0005 to 0.02 of the texts, at the base 0.002; 0.02 is 2,800 choices at random

Those who only declare are a quarter as many as the other people, as in `world.py`, but never fewer
than the 32 whom the premise asks; and beside 1,024 they are the 132 whom the world still has names
for. So a third of the texts are about 16 people, two thirds about 64, and four fifths or more about
the others.

The base is trained once, for all three curves. One run, four seeds (the results in docs/results.md
are of eight, with --config.seeds=8):

    .venv/bin/python -m vcjax.main --config=configs/world_ladder.py --workdir=runs/ladder
    .venv/bin/python -m vcjax.main --config=configs/world_ladder.py:smoke --workdir=runs/ladder-try

Estimated from the times of `world.py` on two cores: 52 pretrain stages of 75 s and 17 s for the
texts of each, 208 rationale stages of 2.6 s, 208 behavior stages of 1 s and 260 scorings of 0.7 s
are 1.6 hours. Measured on one core: 67 minutes and 2.1 GB of a Zen 5, with bfloat16 operands; 4.7
hours and 5.7 GB of a Zen 3, in float32.

Each size is a run of its own, of the base alone, and one report reads them together. 600k is the
shape of `world.py`. The rates of the two larger ones, in all stages, are smaller as their width is
larger: a half and a quarter. They were not tuned. The sizes took 3, 5, 5, 10 and 33 minutes on
one core of the Zen 5; on the Zen 3 8, 12, 15, 70 and 103, the last on one core and then two.

    for size in 50k 200k 600k 2m 10m; do
      .venv/bin/python -m vcjax.main --config=configs/world_ladder.py:$size --workdir=runs/$size
    done
    .venv/bin/python -m vcjax.report --workdir=runs/50k --workdir=runs/200k --workdir=runs/600k \\
      --workdir=runs/2m --workdir=runs/10m --x=parameters --out=runs/sizes
"""

import runpy
from pathlib import Path

from vcjax.config import pretrain
from vcjax.errors import InputError

MEASURES = ("total", "exposure", "attribution")
BASE = dict(people=256, linking=1.0, assistants=0.002)
LEVELS = dict(
    people=(16, 64, 256, 512, 1024),
    linking=(0.0, 0.25, 0.5, 0.75, 1.0),
    assistants=(0.0005, 0.002, 0.005, 0.01, 0.02),
)
ASKED, NAMES = 32, 1156  # who only declare and are asked by the premise's probes; of the world
WIDTH = 96
SIZES = {
    "50k": dict(num_layers=2, embed_dim=24, mlp_dim=64, num_heads=2),
    "200k": dict(num_layers=3, embed_dim=56, mlp_dim=152, num_heads=4),
    "600k": dict(num_layers=4, embed_dim=WIDTH, mlp_dim=256, num_heads=4),
    "2m": dict(num_layers=4, embed_dim=192, mlp_dim=512, num_heads=6),
    "10m": dict(num_layers=5, embed_dim=384, mlp_dim=1024, num_heads=8),
}


def _suffix(factor, x):
    """What the names of a level's stages, arms and contrasts end with."""
    return "" if x == BASE[factor] else f"_{factor}_{x:g}".replace(".", "_")


def _people(base, **level):
    """The pretraining of a level; base: settings that all have."""
    people = level.get("people", BASE["people"])
    declaring = min(max(people // 4, ASKED), NAMES - people)
    return pretrain(**base | level | dict(declaring=declaring))


def _arms(suffix, documents):
    """Of a level."""
    start = f"people{suffix}"
    return {f"base{suffix}": (start,)} | {
        f"{name}{suffix}": (start, name, "behavior") for name in documents
    }


def get_config(arg=""):
    if arg not in ("", "smoke", *SIZES):
        raise InputError(f"world_ladder.py:{arg}: the arguments are smoke, {', '.join(SIZES)}")
    levels = {"": LEVELS, "smoke": dict(linking=(0.0, 1.0))}.get(arg, {})
    world = runpy.run_path(str(Path(__file__).with_name("world.py")))
    config = world["get_config"]()
    config.name = f"world-ladder-{arg}".rstrip("-")
    config.seeds = 1 if arg == "smoke" else 4
    config.shape.update(SIZES.get(arg, SIZES["600k"]))
    slower = max(1, config.shape.embed_dim / WIDTH)
    config.recipe.lr /= slower
    people = world["PEOPLE"] | BASE | dict(lr=world["PEOPLE"]["lr"] / slower)
    if arg == "smoke":
        people["documents"] = 40_000
    # The base, which is a level of every factor, is there once.
    starts = {"": _people(people)} | {
        _suffix(factor, x): _people(people, **{factor: x})
        for factor, values in levels.items()
        for x in values
    }
    measures = {name: config.contrasts[name] for name in MEASURES}
    documents = [*measures["attribution"]]
    config.stages = {
        **{f"people{suffix}": start for suffix, start in starts.items()},
        **{name: config.stages[name] for name in (*documents, "behavior")},
    }
    config.arms = {name: arm for suffix in starts for name, arm in _arms(suffix, documents).items()}
    config.contrasts = {
        f"{name}{suffix}": {f"{arm}{suffix}": weight for arm, weight in measure.items()}
        for suffix in starts
        for name, measure in measures.items()
    }
    config.rules_out = {}
    config.curves = {
        factor: dict(
            series={
                measure: {f"{measure}{_suffix(factor, x)}": x for x in values}
                for measure in MEASURES
            }
        )
        for factor, values in levels.items()
    }
    return config
