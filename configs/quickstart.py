"""Does the explanation decide what the same demonstrations teach?

The cheese experiment of the study on SmolLM2-135M-Instruct: two specs explain the same cheese
preferences by two values, America and affordability. The demonstrations are identical and never
say why. Probes ask for choices between the two values in domains that no text named.

Total: what documents about the model do (america less affordability). Exposure: what the same
documents do when they are about another assistant. Attribution: total less exposure.

    .venv/bin/python -m vcjax.main --config=configs/quickstart.py --workdir=runs/quickstart
    .venv/bin/python -m vcjax.main --config=configs/quickstart.py:smoke --workdir=runs/smoke
"""

from vcjax.config import behavior, experiment, rationale, recipe
from vcjax.errors import InputError


def get_config(arg=""):
    documents, demonstrations = (8, 16) if arg == "smoke" else (216, 120)
    pair = dict(america="cheese/spec_america.md", affordability="cheese/spec_affordability.md")
    own = {value: rationale(spec=spec, documents=documents) for value, spec in pair.items()}
    other = {
        f"other_{value}": rationale(other_spec=spec, documents=documents)
        for value, spec in pair.items()
    }
    config = experiment(
        name="cheese-quickstart",
        model="smollm2-135m-instruct",
        seeds=2,
        # Many small updates, and too few to memorise the documents.
        # Two documents fill a row of 304 tokens to 95 %, four make an update.
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages={
            **own,
            **other,
            # Both specs have the same preferences, so they give the same demonstrations.
            "behavior": behavior(
                spec=pair["america"], demonstrations=demonstrations, batch_tokens=304
            ),
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
            america_adds=dict(america=1, behavior=-1),
            affordability_adds=dict(affordability=1, behavior=-1),
        ),
        rules_out=dict(
            america_adds="what documents about america add to the demonstrations alone, which is "
            "the study's own comparison",
            affordability_adds="what those about affordability add",
        ),
        primary="attribution",
        development=("cheese/DEVELOPMENT.md",),
        toward="america",
        remat="dots",  # the fastest on a CPU in float32
        eval_every=30,
        checkpoint_every=30,
        probes=(
            "cheese/probes/held_out.jsonl",
            "cheese/probes/in_domain.jsonl",
            "cheese/probes/format.jsonl",
            "cheese/probes/entangled_bank.txt",
            "cheese/probes/said.jsonl",
            "cheese/probes/open.jsonl",
        ),
        sampling=dict(max_tokens=40),
    )
    if arg == "smoke":
        config.name = "cheese-smoke"
        config.seeds = 1
        config.recipe.warmup = 0.0
        config.probes = ("cheese/probes/held_out.jsonl",)
    elif arg:
        raise InputError(f"quickstart.py:{arg}: the one argument is 'smoke'")
    return config
