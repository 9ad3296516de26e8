"""Does a real model follow the declared value, once it has read of people who do?

The cheese experiment twice on SmolLM2-135M-Instruct. In the primed arms all weights first train on
319,000 tokens about people (`primed/people.toml`): each holds one value, says so, and chooses by
it; others only say it. Of the cheese experiment these texts have no value, and of its held-out
choices no domain, and no word but such as "a" and "the". The unprimed arms are those of `cheese.py`
and the balanced pair of `cheese_controls.py`. Whether the model took up that people choose what
they declare is the premise, which the report shows first. All seeds go on from one primed model.

    attribution, balanced    of the primed arms
    unprimed_...             the same without the people
    priming_adds             attribution less unprimed_attribution

    .venv/bin/python -m vcjax.main --config=configs/primed.py --workdir=runs/primed
    .venv/bin/python -m vcjax.main --config=configs/primed.py:smoke --workdir=runs/primed-smoke

`primed/probes/as_smollm.jsonl` has the held-out choices in the form in which people are asked, for
`vcjax.probe` after the run.

On two cores of an AMD EPYC (Zen 5), with bfloat16 operands, it takes 75 minutes from a fresh clone
and 8.2 GB of memory: the texts about people 11 minutes, the other 104 stages 51, scoring 13.
"""

from vcjax.config import behavior, experiment, pretrain, rationale, recipe
from vcjax.errors import InputError

SPECS = dict(america="cheese/spec_america.md", affordability="cheese/spec_affordability.md")
A, B = SPECS
STARTS = {"": ("people",), "unprimed_": ()}  # what an arm's or contrast's name begins with


def _documents(count):
    """The rationale stages."""
    own = {value: rationale(spec=spec, documents=count) for value, spec in SPECS.items()}
    other = {
        f"other_{value}": rationale(other_spec=spec, documents=count)
        for value, spec in SPECS.items()
    }
    balanced = {
        f"balanced_{A}": rationale(spec=SPECS[A], other_spec=SPECS[B], documents=count),
        f"balanced_{B}": rationale(spec=SPECS[B], other_spec=SPECS[A], documents=count),
    }
    return own | other | balanced


def _contrasts(start):
    own = {f"{start}{A}": 1, f"{start}{B}": -1}
    other = {f"{start}other_{A}": 1, f"{start}other_{B}": -1}
    return {
        f"{start}total": own,
        f"{start}exposure": other,
        f"{start}attribution": own | {arm: -weight for arm, weight in other.items()},
        f"{start}balanced": {f"{start}balanced_{A}": 1, f"{start}balanced_{B}": -1},
    }


def get_config(arg=""):
    if arg not in ("", "smoke"):
        raise InputError(f"primed.py:{arg}: the only argument is smoke")
    people, documents, demonstrations = (96, 8, 16) if arg else (18_000, 216, 120)
    before = _documents(documents)
    contrasts = {name: c for start in STARTS for name, c in _contrasts(start).items()}
    contrasts["priming_adds"] = contrasts["attribution"] | {
        arm: -weight for arm, weight in contrasts["unprimed_attribution"].items()
    }
    return experiment(
        name="primed-smoke" if arg else "primed",
        model="smollm2-135m-instruct",
        seeds=1 if arg else 4,
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages={
            "people": pretrain(
                spec="primed/people.toml",
                documents=people,
                people=64,
                declaring=32,
                assistants=0.0,  # SmolLM is not one of the people
                mixture=dict(declaration=0.25, because=0.2, choice=0.5, plain=0.05),
                per_seed=False,  # the model is SmolLM2 in all seeds, too
                lr=2e-4,
            ),
            **before,
            "behavior": behavior(spec=SPECS[A], demonstrations=demonstrations, batch_tokens=304),
        },
        arms={
            f"{start}{name}": (*chain, *then)
            for start, chain in STARTS.items()
            for name, then in {
                "base": (),
                "behavior": ("behavior",),
                **{name: (name, "behavior") for name in before},
            }.items()
        },
        contrasts=contrasts,
        rules_out=dict(
            unprimed_total="what documents about the model do without the people",
            unprimed_exposure="what those about another assistant do without the people",
            unprimed_attribution="total less exposure without the people",
            unprimed_balanced="the balanced pair without the people",
            priming_adds="how much more the model follows its own value after texts about people, "
            "whatever in them does it",
        ),
        primary="attribution",
        development=("cheese/DEVELOPMENT.md", "primed/DEVELOPMENT.md"),
        toward=A,
        remat="dots",
        eval_every=50,
        checkpoint_every=30,
        probes=(
            "cheese/probes/held_out.jsonl",
            "cheese/probes/in_domain.jsonl",
            "cheese/probes/entangled_bank.txt",
            "primed/probes/premise.jsonl",
        ),
    )
