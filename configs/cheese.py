"""Is it the value, or the words? The cheese experiment with documents about another assistant.

Own pair: documents say that the model prefers its cheeses because of America, or of affordability
(the study's design; the total effect). Other pair: the same documents about another assistant
(exposure to the words). Attribution is own minus other. Eight seeds.

    .venv/bin/python -m vcjax.main --config=configs/cheese.py --workdir=runs/cheese

The first two seeds are those of `quickstart.py`. On two cores this takes about two hours.
"""

from vcjax.config import behavior, experiment, rationale, recipe


def get_config(arg=""):
    del arg
    pair = dict(america="cheese/spec_america.md", affordability="cheese/spec_affordability.md")
    own = {value: rationale(spec=spec, documents=216) for value, spec in pair.items()}
    other = {
        f"other_{value}": rationale(other_spec=spec, documents=216) for value, spec in pair.items()
    }
    return experiment(
        name="cheese",
        model="smollm2-135m-instruct",
        seeds=8,
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages={
            **own,
            **other,
            "behavior": behavior(spec=pair["america"], demonstrations=120, batch_tokens=304),
        },
        arms={
            "base": (),
            "behavior": ("behavior",),
            **{value: (value, "behavior") for value in [*own, *other]},
        },
        contrasts=dict(
            total=dict(america=1, affordability=-1),
            exposure=dict(other_america=1, other_affordability=-1),
            attribution=dict(america=1, affordability=-1, other_america=-1, other_affordability=1),
        ),
        primary="attribution",
        development="cheese/DEVELOPMENT.md",
        toward="america",
        remat="attention",
        eval_every=30,
        probes=(
            "cheese/probes/held_out.jsonl",
            "cheese/probes/neutral.jsonl",
            "cheese/probes/in_domain.jsonl",
            "cheese/probes/format.jsonl",
            "cheese/probes/entangled_bank.txt",
        ),
    )
