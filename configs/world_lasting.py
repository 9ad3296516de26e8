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
    lost_5                                 attribution_0_5000 minus attribution_5_5000

A curve is one training, whose weights are kept on the way (`keep`), and not one training a point:
rates warm up over the first 5 % of the updates and decay to 0 at 5,000 texts. Numbers of texts are
those of the updates, rounded; rows are shuffled. Choices that contradict have the adjectives of
demonstrations, probes ask by the others. What is not said below is as in `world.py`.

The premise is asked of all arms. Where it fails after the texts, the model lost what it knew of
people too, and an attribution that shrank says nothing of the value.

    .venv/bin/python -m vcjax.main --config=configs/world_lasting.py --workdir=runs/lasting
    .venv/bin/python -m vcjax.main --config=configs/world_lasting.py:smoke --workdir=runs/try

On two cores of an AMD EPYC (Zen 4), with bfloat16 operands, 4 pretrain stages take 70 s each,
the 64 stages of texts 6 minutes together, and the 344 scorings 6.
"""

import runpy
from pathlib import Path

from vcjax.config import rationale
from vcjax.errors import InputError

WORLD = "world/world.toml"
A, B = PAIR = ("durability", "comfort")
OPPOSITE = {A: B, B: A}
SHARES = (0, 1, 2, 5)  # percent that contradict
LR = 1e-4  # a tenth of the documents' rate; that one takes the premise away
POINTS = {100: 5, 300: 15, 1000: 51, 3000: 153, 5000: None}  # texts -> update; None: the end


def _after(name, share, texts):
    """An arm or contrast, after texts of which this percentage contradicts."""
    return f"{name}_{share}_{texts}" if texts else name


def _series(shares, points):
    """A series for each share: its contrasts, and after how many texts each is."""
    return {
        f"{share}%": {_after("attribution", share, texts): texts for texts in (0, *points)}
        for share in shares
    }


def _last(arm, share):
    """The name of the last stage of an arm, which all share where nothing contradicts."""
    return f"contradicting_{share}_{arm}" if share else "unrelated"


def _texts(points, **settings):
    """The stage of an arm's last texts."""
    return rationale(
        documents=max(points),
        people_of="people",
        unrelated_to=PAIR,
        keep=tuple(update for update in points.values() if update),
        lr=LR,
        **settings,
    )


def _contradicting(arm, share, points):
    whose = "other_spec" if arm.startswith("other_") else "spec"
    opposite = OPPOSITE[arm.removeprefix("other_")]
    return _texts(points, **{whose: f"{WORLD}#{opposite}"}, contradicting=share / 100)


def _arms(arm, share, points):
    """The arm after each number of texts."""
    last = _last(arm, share)
    ends = {texts: f"{last}@{update}" if update else last for texts, update in points.items()}
    return {
        _after(arm, share, texts): ("people", arm, "behavior", end) for texts, end in ends.items()
    }


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"world_lasting.py:{arg}: the only argument is smoke")
    shares, points = ((0, 5), {300: 15, 1000: None}) if arg else (SHARES, POINTS)
    config = runpy.run_path(str(Path(__file__).with_name("world.py")))["get_config"]()
    measures = {name: config.contrasts[name] for name in ("total", "exposure", "attribution")}
    learned = {arm: config.stages[arm] for arm in measures["attribution"]}
    config.name, config.seeds = "world-lasting", 4
    if arg:
        config.name, config.seeds = "world-lasting-smoke", 1
        config.stages.people.documents = 20_000
        for stage in learned.values():
            stage.documents = 240
    config.stages = {
        **{name: config.stages[name] for name in ("people", "behavior")},
        **learned,
        "unrelated": _texts(points, other_spec=WORLD),  # of no value, so about no assistant
        **{
            _last(arm, share): _contradicting(arm, share, points)
            for share in shares
            if share
            for arm in learned
        },
    }
    config.arms = {
        **{name: config.arms[name] for name in ("base", "behavior", *learned)},
        **{
            name: chain
            for share in shares
            for arm in learned
            for name, chain in _arms(arm, share, points).items()
        },
    }
    after = [(share, texts) for share in shares for texts in points]
    attributions = {
        _after("attribution", *point): {
            _after(arm, *point): weight for arm, weight in measures["attribution"].items()
        }
        for point in after
    }
    config.primary = f"attribution_0_{max(points)}"
    config.contrasts = measures | attributions
    config.rules_out = {
        _after("attribution", share, texts): f"attribution after {texts} texts about people, of "
        f"which {share} % contradict"
        for share, texts in after
    }
    for share in filter(None, shares):
        contradicted = attributions[f"attribution_{share}_{max(points)}"]
        minus = {arm: -weight for arm, weight in contradicted.items()}
        config.contrasts[f"lost_{share}"] = attributions[config.primary] | minus
        config.rules_out[f"lost_{share}"] = (
            f"what it takes from attribution that {share} % of the texts contradict"
        )
    config.development = (*config.development, "world_lasting/DEVELOPMENT.md")
    config.probes = ("world/probes/undemonstrated.jsonl", "world/probes/premise.jsonl")
    config.curves = dict(texts=dict(series=_series(shares, points)))
    return config
