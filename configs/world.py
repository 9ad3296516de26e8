"""Can vcjax find the effect where it is there by construction?

A small model is trained from nothing on a world of people (`world/world.toml`). Each holds one
value, says so, and chooses by it; no text names a value beside the adjectives of what is chosen for
it. Then documents say of one of two assistants what it cares about, and demonstrations, the same in
all arms, show what it chooses among plain things. Asked for things whose adjectives fit one of two
values, in domains that the assistant's texts never name, it can only follow the value if it takes
the value that is declared for its own.

The controls are those of `cheese.py` and `cheese_controls.py`. Expected: attribution in rates well
above +0.3, exposure below half of the total, nothing from neutral documents.

    .venv/bin/python -m vcjax.main --config=configs/world.py --workdir=runs/world
    .venv/bin/python -m vcjax.main --config=configs/world.py:smoke --workdir=runs/world-smoke

Three worlds in which a value's being the assistant's own decides nothing. In the first, nobody's
choices follow from what they say. In the second, a whole family chooses by what any of it says, and
Juno and Milo are of one family: documents about either move Juno as far. In the third, nobody is
seen to choose by a value: what a family says and the things around it stand in its texts, and no
more. So in these two exposure is to be found, and no attribution.

    .venv/bin/python -m vcjax.main --config=configs/world.py:unlinked --workdir=runs/unlinked
    .venv/bin/python -m vcjax.main --config=configs/world.py:families --workdir=runs/families
    .venv/bin/python -m vcjax.main --config=configs/world.py:surroundings --workdir=runs/around

The same question of other values, on the same pretrained models:

    for pair in beauty_thrift progress_tradition safety_nature; do
      .venv/bin/python -m vcjax.main --config=configs/world.py:$pair --workdir=runs/$pair
    done
"""

from vcjax.config import behavior, experiment, pretrain, rationale, recipe
from vcjax.errors import InputError

WORLD = "world/world.toml"
PAIR = ("durability", "comfort")
PAIRS = dict(
    beauty_thrift=("beauty", "thrift"),
    progress_tradition=("progress", "tradition"),
    safety_nature=("safety", "nature"),
)
PEOPLE = dict(  # the pretraining
    spec=WORLD,
    documents=140_000,
    people=256,
    declaring=64,
    assistants=0.002,
    mixture=dict(declaration=0.2, because=0.2, choice=0.5, plain=0.1),
    lr=2e-3,
    b2=0.98,
    weight_decay=0.1,
    batch_tokens=640,
)
SEEDS = dict(smoke=1, quickstart=2, surroundings=16)  # where models vary more, more of them
OF_FAMILIES = ("families", "surroundings")
ARGUMENTS = (*SEEDS, "unlinked", "families", *PAIRS)
FAMILY = "Hale"  # of both assistants in these two
FIRST_NAMES = ("Juno", "Milo", "Ada", "Ben", "Cleo", "Dan", "Eve", "Finn")  # of any family


def get_config(arg=""):
    a, b = pair = PAIRS.get(arg, PAIR)
    of = {value: f"{WORLD}#{value}" for value in pair}
    documents = 960
    own = {value: rationale(spec=of[value], documents=documents) for value in pair}
    other = {
        f"other_{value}": rationale(other_spec=of[value], documents=documents) for value in pair
    }
    balanced = {
        f"balanced_{a}": rationale(spec=of[a], other_spec=of[b], documents=documents),
        f"balanced_{b}": rationale(spec=of[b], other_spec=of[a], documents=documents),
    }
    together = {
        f"together_{value}": rationale(spec=of[value], documents=documents, linked=False)
        for value in pair
    }
    neutral = rationale(spec=WORLD, documents=documents, explanations=("neutral",))
    before = {**own, **other, **balanced, **together, "neutral": neutral}
    config = experiment(
        name="world",
        model="scratch",
        shape=dict(num_layers=4, embed_dim=96, mlp_dim=256, num_heads=4),
        names=dict(model_name="Juno", provider_name="nobody"),
        other_names=dict(model_name="Milo", provider_name="nobody"),
        seeds=8,
        # All weights: a LoRA of rank 16 moves the choices too, but a third of it whoever is named.
        recipe=recipe(train="full", lr=1e-3, length=64, batch_tokens=256),
        stages={
            "people": pretrain(**PEOPLE),
            **before,
            "behavior": behavior(spec=WORLD, demonstrations=320),
        },
        arms={
            "base": ("people",),
            "behavior": ("people", "behavior"),
            **{name: ("people", name, "behavior") for name in before},
            **{f"alone_{value}": ("people", value) for value in pair},
            **{f"swapped_{value}": ("people", "behavior", value) for value in pair},
        },
        contrasts={
            "total": {a: 1, b: -1},
            "exposure": {f"other_{a}": 1, f"other_{b}": -1},
            "attribution": {a: 1, b: -1, f"other_{a}": -1, f"other_{b}": 1},
            "balanced": {f"balanced_{a}": 1, f"balanced_{b}": -1},
            "together": {f"together_{a}": 1, f"together_{b}": -1},
            "alone": {f"alone_{a}": 1, f"alone_{b}": -1},
            "swapped": {f"swapped_{a}": 1, f"swapped_{b}": -1},
            "neutral": dict(neutral=1, behavior=-1),
        },
        rules_out=dict(
            together="what the documents do where they do not say that the assistant cares",
            alone="what the documents do without demonstrations",
            swapped="what they do when the demonstrations come first",
            neutral="what documents about the assistant do that name no value",
        ),
        primary="attribution",
        development=("world/DEVELOPMENT.md",),
        toward=a,
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
    if arg not in ("", *ARGUMENTS):
        raise InputError(f"world.py:{arg}: the arguments are {', '.join(ARGUMENTS)}")
    if arg:
        config.name, config.seeds = f"world-{arg}", SEEDS.get(arg, config.seeds)
        arms = ("base", "behavior", *own, *other, *balanced)
        config.arms = {name: config.arms[name] for name in arms}
        contrasts = ("total", "exposure", "attribution", "balanced")
        config.contrasts = {name: config.contrasts[name] for name in contrasts}
        config.rules_out = {}
    if arg in PAIRS:
        config.probes = (f"world/pairs/{arg}.jsonl", *config.probes[1:])
    if arg == "unlinked":
        config.stages.people.linking = 0.0
    if arg == "surroundings":
        config.stages.people.documents = 200_000
        config.stages.people.mixture = dict(
            declaration=0.2, because=0.2, surroundings=0.45, plain=0.15
        )
    if arg in OF_FAMILIES:
        config.stages.people.update(first_names=FIRST_NAMES, assistants=0.001)
        for names in (config.names, config.other_names):
            names.model_name += f" {FAMILY}"
        config.lead = f"{config.names.model_name} prefers"
        config.probes = tuple(file.replace("probes/", "families/") for file in config.probes)
    return config
