"""Where does attribution begin?

The world of `world.py`, with one thing changed at a time: how many people the model learns from,
what share of them choose by what they declare, how often it sees the two assistants choose at
random before any documents, and how large it is. At each level two arms read documents that give
Juno one value or the other, two the same documents about Milo, and then all the demonstrations.

    people      16 to 1,024, at the base 256
    linking     0 to 1, at the base 1
    assistants  0.0005 to 0.02 of the texts, at the base 0.002; 0.02 is 2,800 choices at random

Those who only declare are a quarter as many as the other people, as in `world.py`, but never fewer
than the 32 whom the premise asks; and beside 1,024 they are the 132 whom the world still has names
for. So a third of the texts are about 16 people, two thirds about 64, and four fifths or more about
the others.

The base is trained once, for all three curves. One run, four seeds:

    .venv/bin/python -m vcjax.main --config=configs/world_ladder.py --workdir=runs/ladder
    .venv/bin/python -m vcjax.main --config=configs/world_ladder.py:smoke --workdir=runs/ladder-try

Estimated from the times of `world.py` on two cores: 52 pretrain stages of 75 s and 17 s for the
texts of each, 208 rationale stages of 2.6 s, 208 behavior stages of 1 s and 260 scorings of 0.7 s
are 1.6 hours.

Each size is a run of its own, of the base alone, and one report reads them together. 600k is the
shape of `world.py`. The rates of the two larger ones, in all stages, are smaller as their width is
larger: a half and a quarter. They were not tuned.

    for size in 50k 200k 600k 2m 10m; do
      .venv/bin/python -m vcjax.main --config=configs/world_ladder.py:$size --workdir=runs/$size
    done
    .venv/bin/python -m vcjax.report --workdir=runs/50k --workdir=runs/200k --workdir=runs/600k \\
      --workdir=runs/2m --workdir=runs/10m --x=parameters --out=runs/sizes
"""

from vcjax.config import behavior, experiment, pretrain, rationale, recipe
from vcjax.errors import InputError

WORLD = "world/world.toml"
A, B = PAIR = ("durability", "comfort")
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


def _people(documents, **level):
    settings = {**BASE, **level}
    people = settings["people"]
    return pretrain(
        spec=WORLD,
        documents=documents,
        declaring=min(max(people // 4, ASKED), NAMES - people),
        mixture=dict(declaration=0.2, because=0.2, choice=0.5, plain=0.1),
        lr=2e-3,
        b2=0.98,
        weight_decay=0.1,
        batch_tokens=640,
        **settings,
    )


def _arms(suffix, documents):
    """Of a level."""
    start = f"people{suffix}"
    return {f"base{suffix}": (start,)} | {
        f"{name}{suffix}": (start, name, "behavior") for name in documents
    }


def _contrasts(suffix):
    total = {f"{A}{suffix}": 1, f"{B}{suffix}": -1}
    exposure = {f"other_{arm}": weight for arm, weight in total.items()}
    minus = {arm: -weight for arm, weight in exposure.items()}
    return {
        f"total{suffix}": total,
        f"exposure{suffix}": exposure,
        f"attribution{suffix}": total | minus,
    }


def get_config(arg=""):
    if arg not in ("", "smoke", *SIZES):
        raise InputError(f"world_ladder.py:{arg}: the arguments are smoke, {', '.join(SIZES)}")
    levels = {"": LEVELS, "smoke": dict(linking=(0.0, 1.0))}.get(arg, {})
    shape = SIZES.get(arg, SIZES["600k"])
    slower = max(1, shape["embed_dim"] / WIDTH)
    texts = 40_000 if arg == "smoke" else 140_000
    documents = {
        **{value: rationale(spec=f"{WORLD}#{value}", documents=960) for value in PAIR},
        **{
            f"other_{value}": rationale(other_spec=f"{WORLD}#{value}", documents=960)
            for value in PAIR
        },
    }
    # The base, which is a level of every factor, is there once.
    starts = {"": _people(texts)} | {
        _suffix(factor, x): _people(texts, **{factor: x})
        for factor, values in levels.items()
        for x in values
    }
    for start in starts.values():
        start.lr /= slower
    return experiment(
        name=f"world-ladder-{arg}".rstrip("-"),
        model="scratch",
        shape=shape,
        names=dict(model_name="Juno", provider_name="nobody"),
        other_names=dict(model_name="Milo", provider_name="nobody"),
        seeds=1 if arg == "smoke" else 4,
        recipe=recipe(train="full", lr=1e-3 / slower, length=64, batch_tokens=256),
        stages={
            **{f"people{suffix}": start for suffix, start in starts.items()},
            **documents,
            "behavior": behavior(spec=WORLD, demonstrations=320),
        },
        arms={name: arm for suffix in starts for name, arm in _arms(suffix, documents).items()},
        contrasts={
            name: weights for suffix in starts for name, weights in _contrasts(suffix).items()
        },
        primary="attribution",
        curves={
            factor: dict(
                series={
                    measure: {f"{measure}{_suffix(factor, x)}": x for x in values}
                    for measure in ("total", "exposure", "attribution")
                }
            )
            for factor, values in levels.items()
        },
        development="world/DEVELOPMENT.md",
        toward=A,
        lead="Juno prefers",
        remat="dots",
        eval_every=500,
        checkpoint_every=500,
        log_every=50,
        probes=(
            "world/probes/held_out.jsonl",
            "world/probes/in_domain.jsonl",
            "world/probes/premise.jsonl",
        ),
    )
