"""Does what the documents taught last?

In the world of `world.py` an assistant learns a value as its own: documents about Juno, or the same
documents about Milo, then demonstrations. Then it is trained on up to 5,000 texts more:

    unrelated        about people who hold neither of the two values; none is about an assistant
    contradicting    the same, but in the place of 1, 2 or 5 % of them stand declarations,
                     reasons and choices, by the opposite value, of the assistant whom the
                     documents were about

Of both, choices are in domains in which no probe asks. Arms and contrasts end with the percentage
and the number of texts, where they are not those before any:

    durability, other_comfort              as in world.py
    durability_0_100                       after 100 unrelated texts
    other_comfort_5_5000                   after all texts, of which 5 % contradict
    attribution, attribution_0_100, ...    likewise

A curve is one training, whose weights are kept on the way (`keep`), and not one training a point:
rates warm up over the first 5 % of the updates and decay to 0 at 5,000 texts. Numbers of texts are
those of the updates, rounded; rows are shuffled.

The premise is asked of all arms. Where it fails after the texts, the model lost what it knew of
people too, and an attribution that shrank says nothing of the value.

    .venv/bin/python -m vcjax.main --config=configs/world_lasting.py --workdir=runs/lasting
    .venv/bin/python -m vcjax.main --config=configs/world_lasting.py:smoke --workdir=runs/try

On two cores of an AMD EPYC (Zen 4), with bfloat16 operands, 4 pretrain stages take 70 s each,
the 64 stages of texts 6 minutes together, and the 344 scorings 6.
"""

from vcjax.config import behavior, experiment, pretrain, rationale, recipe
from vcjax.errors import InputError

WORLD = "world/world.toml"
A, B = PAIR = ("durability", "comfort")
OPPOSITE = {A: B, B: A}
MIXTURE = dict(declaration=0.2, because=0.2, choice=0.5, plain=0.1)
SHARES = (0, 1, 2, 5)  # percent that contradict
POINTS = {100: 5, 300: 15, 1000: 51, 3000: 153, 5000: None}  # texts -> update; None: the end
MEASURES = dict(
    total={A: 1, B: -1},
    exposure={f"other_{A}": 1, f"other_{B}": -1},
    attribution={A: 1, B: -1, f"other_{A}": -1, f"other_{B}": 1},
)


def _after(name, share, texts):
    """An arm or contrast, after texts of which this percentage contradicts."""
    return f"{name}_{share}_{texts}" if texts else name


def _series(shares, points):
    """A series for each share: its contrasts, and after how many texts each is."""
    return {
        f"{share}%": {_after("attribution", share, texts): texts for texts in (0, *points)}
        for share in shares
    }


def _lasting(arm, share):
    """The name of the last stage of an arm, which all share where nothing contradicts."""
    return f"contradicting_{share}_{arm}" if share else "unrelated"


def _texts(arm, share, points):
    whose = "other_spec" if arm.startswith("other_") else "spec"
    opposite = OPPOSITE[arm.removeprefix("other_")]
    return rationale(
        **{whose: f"{WORLD}#{opposite}" if share else WORLD},
        documents=max(points),
        people_of="people",
        unrelated_to=PAIR,
        contradicting=share / 100,
        keep=tuple(update for update in points.values() if update),
    )


def _arms(arm, share, points):
    """The arm after each number of texts."""
    last = _lasting(arm, share)
    ends = {texts: f"{last}@{update}" if update else last for texts, update in points.items()}
    return {
        _after(arm, share, texts): ("people", arm, "behavior", end) for texts, end in ends.items()
    }


def _contrasts(shares, points):
    """Name -> (weights of arms, what it measures) of attribution after texts."""
    return {
        name: (
            {_after(arm, share, texts): weight for arm, weight in MEASURES["attribution"].items()},
            f"attribution after {texts} texts about people, of which {share} % contradict",
        )
        for share, names in zip(shares, _series(shares, points).values(), strict=True)
        for name, texts in names.items()
        if texts
    }


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"world_lasting.py:{arg}: the only argument is smoke")
    shares, points = ((0, 5), {300: 15, 1000: None}) if arg else (SHARES, POINTS)
    documents = 240 if arg else 960
    learned = {value: rationale(spec=f"{WORLD}#{value}", documents=documents) for value in PAIR}
    learned |= {
        f"other_{value}": rationale(other_spec=f"{WORLD}#{value}", documents=documents)
        for value in PAIR
    }
    after = _contrasts(shares, points)
    return experiment(
        name="world-lasting-smoke" if arg else "world-lasting",
        model="scratch",
        shape=dict(num_layers=4, embed_dim=96, mlp_dim=256, num_heads=4),
        names=dict(model_name="Juno", provider_name="nobody"),
        other_names=dict(model_name="Milo", provider_name="nobody"),
        seeds=1 if arg else 4,
        recipe=recipe(train="full", lr=1e-3, length=64, batch_tokens=256),
        stages={
            "people": pretrain(
                spec=WORLD,
                documents=20_000 if arg else 140_000,
                people=256,
                declaring=64,
                assistants=0.002,
                mixture=MIXTURE,
                lr=2e-3,
                b2=0.98,
                weight_decay=0.1,
                batch_tokens=640,
            ),
            **learned,
            "behavior": behavior(spec=WORLD, demonstrations=320),
            **{
                _lasting(arm, share): _texts(arm, share, points)
                for share in shares
                for arm in learned
            },
        },
        arms={
            "base": ("people",),
            "behavior": ("people", "behavior"),
            **{arm: ("people", arm, "behavior") for arm in learned},
            **{
                name: chain
                for share in shares
                for arm in learned
                for name, chain in _arms(arm, share, points).items()
            },
        },
        contrasts={**MEASURES, **{name: weights for name, (weights, _) in after.items()}},
        rules_out={name: meaning for name, (_, meaning) in after.items()},
        primary=f"attribution_0_{max(points)}",
        curves=dict(texts=dict(series=_series(shares, points))),
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
