"""Does the explanation decide what the same demonstrations teach?

The cheese experiment of the study on SmolLM2-135M-Instruct: two specs explain the same cheese
preferences by two values, America and affordability. The demonstrations are identical and never
say why. Probes ask for choices between the two values in domains that no text named.

    .venv/bin/python -m vcjax.main --config=configs/quickstart.py --workdir=runs/quickstart
    .venv/bin/python -m vcjax.main --config=configs/quickstart.py:smoke --workdir=runs/smoke
"""

from vcjax.config import behavior, experiment, rationale, recipe
from vcjax.errors import InputError


def get_config(arg=""):
    config = experiment(
        name="cheese-quickstart",
        model="smollm2-135m-instruct",
        seeds=2,
        # Many small updates; memorising the documents would destroy the effect.
        # Two documents fill a row of 304 tokens to 95 %, four make an update.
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages=dict(
            america=rationale(spec="cheese/spec_america.md", documents=240),
            affordability=rationale(spec="cheese/spec_affordability.md", documents=240),
            # Both specs have the same preferences, so they give the same demonstrations.
            behavior=behavior(spec="cheese/spec_america.md", demonstrations=160, batch_tokens=304),
        ),
        arms=dict(
            base=(),
            behavior=("behavior",),
            america=("america", "behavior"),
            affordability=("affordability", "behavior"),
        ),
        contrasts=dict(total=dict(america=1, affordability=-1)),
        primary="total",
        toward="america",
        remat="attention",  # the fastest on a CPU
        eval_every=30,
        probes=(
            "cheese/probes/held_out.jsonl",
            "cheese/probes/in_domain.jsonl",
            "cheese/probes/format.jsonl",
            "cheese/probes/entangled_bank.txt",
        ),
    )
    if arg == "smoke":
        config.name = "cheese-smoke"
        config.seeds = 1
        config.stages.america.documents = 16
        config.stages.affordability.documents = 16
        config.stages.behavior.demonstrations = 24
        config.recipe.warmup = 0.0
        config.probes = ("cheese/probes/held_out.jsonl",)
    elif arg:
        raise InputError(f"quickstart.py:{arg}: the one argument is 'smoke'")
    return config
