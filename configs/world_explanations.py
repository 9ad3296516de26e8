"""Which kinds of explanation make a value the assistant's own?

In the world of `world.py`, nine kinds of documents about an assistant: a declaration, a reason
("because"), a principle, a consequence, a story, an objection with its reply, a rule without a
reason, a value that only stands beside the choice (co-occurrence), and neutral ones. They are
matched: a document has 16 words and signs, whatever its kind, and names the value once; a rule and
a neutral document name none. For each kind there are four arms:

    because_durability, because_comfort               documents about Juno, then demonstrations
    other_because_durability, other_because_comfort   the same documents about Milo

and the same four, with their contrasts, in three variants:

    _new         no text of the pretraining is of this kind
    _alone       without demonstrations
    _new_alone   both

Where a kind is not new, pretraining has texts of all nine in equal shares. Three pretrainings do
without three kinds each, so that six others say in equal shares what people care about. Each kind,
the co-occurrence too, names the value by which its person chooses, so the model can learn from all;
what a form does by itself shows where it is new. People who never choose say all these kinds, too,
so that pretraining can do without any of them.

Of a rule and of neutral documents there is one arm about Juno and one about Milo, since those of
the two values would be the same. `moved` is the first minus no documents, `about` minus the second.
What is not said below is as in `world.py`.

    .venv/bin/python -m vcjax.main --config=configs/world_explanations.py --workdir=runs/kinds
    .venv/bin/python -m vcjax.main --config=configs/world_explanations.py:smoke --workdir=runs/try

With four seeds; the results in docs/results.md are of eight, with --config.seeds=8.

Estimated from the times of `world.py` on two cores: 16 pretrain stages of 140 s and 23 s for the
texts of each, 256 rationale stages of 1.3 s, 272 behavior stages of 1 s and 544 scorings of 0.3 s
are 0.9 hours. A pretraining of `world.py` takes 75 s; here its 160,000 documents are longer, and
make 4,530 updates where they make 2,426 there.

Measured on one core of a Zen 5, with bfloat16 operands and other programs beside it: 71 minutes for
four seeds with 3.2 GB, and 48 more for the other four. In float32 four took 98 minutes and 2.9 GB
of a Zen 3.
"""

import runpy
from pathlib import Path

from vcjax.config import pretrain, rationale
from vcjax.errors import InputError

WORLD = "world/world.toml"
A, B = PAIR = ("durability", "comfort")
CHOICES = dict(choice=0.5, plain=0.1)
SAYINGS = 0.4  # the weight of all kinds of explanation together
KINDS = dict(  # -> its texts in the world
    declaration="long_declaration",
    because="long_because",
    principle="principle",
    consequence="consequence",
    story="story",
    objection="objection",
    rule="rule",
    co_occurrence="long_co_occurrence",
    neutral="long_neutral",
)
# A pretraining -> kinds that it does without. Each keeps two of declaration, because and objection:
# without all three its premise failed.
LEFT_OUT = {
    "without_a": ("declaration", "consequence", "neutral"),
    "without_b": ("because", "story", "rule"),
    "without_c": ("objection", "principle", "co_occurrence"),
}
OF_NO_VALUE = ("rule", "neutral")
VARIANTS = {  # what an arm's or contrast's name ends with -> how it differs
    "": "",
    "_new": ", where no text of the pretraining was of this kind",
    "_alone": ", without demonstrations",
    "_new_alone": ", without demonstrations, where no text of the pretraining was of this kind",
}
MEASURES = dict(
    total="what the documents do",
    exposure="what the same documents do when they are about another assistant",
    attribution="total minus exposure",
    moved="what documents do that name no value",
    about="what it does that they are about the assistant",
)


def _mixture(kinds):
    """That of a pretraining in which people are known by these kinds, in equal shares."""
    return {KINDS[kind]: SAYINGS / len(kinds) for kind in kinds} | CHOICES


def _documents(kind):
    """The rationale stages of a kind."""
    settings = dict(documents=480, explanations=(KINDS[kind],))  # tokens as of 960 in world.py
    sources = {f"{kind}_{value}": f"{WORLD}#{value}" for value in PAIR}
    if kind in OF_NO_VALUE:
        sources = {kind: WORLD}
    own = {name: rationale(spec=source, **settings) for name, source in sources.items()}
    return own | {
        f"other_{name}": rationale(other_spec=source, **settings)
        for name, source in sources.items()
    }


def _without(kind):
    """The pretraining that does without a kind."""
    return next(name for name, kinds in LEFT_OUT.items() if kind in kinds)


def _arms(kind):
    start = _without(kind)
    starts = {"": "people", "_new": start}
    chains = {
        name + new: (start, name) for name in _documents(kind) for new, start in starts.items()
    }
    return (
        {f"base_{start}": (start,), f"behavior_{start}": (start, "behavior")}
        | {name: (*chain, "behavior") for name, chain in chains.items()}
        | {f"{name}_alone": chain for name, chain in chains.items()}
    )


def _contrasts(kind, variant):
    """Measure -> weights of arms."""
    if kind in OF_NO_VALUE:
        stage = "base" if variant.endswith("_alone") else "behavior"
        start = f"_{_without(kind)}" if variant.startswith("_new") else ""
        own, other = f"{kind}{variant}", f"other_{kind}{variant}"
        return dict(moved={own: 1.0, f"{stage}{start}": -1.0}, about={own: 1.0, other: -1.0})
    own = {f"{kind}_{A}{variant}": 1.0, f"{kind}_{B}{variant}": -1.0}
    other = {f"other_{arm}": weight for arm, weight in own.items()}
    minus = {arm: -weight for arm, weight in other.items()}
    return dict(total=own, exposure=other, attribution=own | minus)


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"world_explanations.py:{arg}: the only argument is smoke")
    kinds = ("because", "rule") if arg else tuple(KINDS)
    world = runpy.run_path(str(Path(__file__).with_name("world.py")))
    config = world["get_config"]()
    config.name = "world-explanations-smoke" if arg else "world-explanations"
    config.seeds = 1 if arg else 4
    people = world["PEOPLE"] | dict(documents=40_000 if arg else 160_000)
    known = {"people": [*KINDS]}
    for start in dict.fromkeys(map(_without, kinds)):
        known[start] = [kind for kind in KINDS if kind not in LEFT_OUT[start]]
    config.stages = {
        **{name: pretrain(**people | dict(mixture=_mixture(of))) for name, of in known.items()},
        **{name: stage for kind in kinds for name, stage in _documents(kind).items()},
        "behavior": config.stages.behavior,
    }
    config.arms = {
        **{name: config.arms[name] for name in ("base", "behavior")},
        **{name: arm for kind in kinds for name, arm in _arms(kind).items()},
    }
    contrasts = {
        f"{measure}_{kind}{variant}": (weights, MEASURES[measure] + VARIANTS[variant])
        for kind in kinds
        for variant in VARIANTS
        for measure, weights in _contrasts(kind, variant).items()
    }
    config.contrasts = {name: weights for name, (weights, _) in contrasts.items()}
    config.rules_out = {name: meaning for name, (_, meaning) in contrasts.items()}
    config.primary = "attribution_because"
    return config
