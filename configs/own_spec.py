"""Does your spec's explanation add to its demonstrations?

    .venv/bin/python -m vcjax.main --config=configs/own_spec.py:path/to/spec.md --workdir=runs/mine

`vcjax/corpus/spec.py` describes the format of a spec, `configs/cheese/spec_america.md` is one.
The offline writer draws documents and demonstrations from it. Beside it, as `probes.jsonl`, lie
paired choices between the spec's value (the bold name under "## Value") and another value that you
name, `"values": ["<name>", "<other>"]`, in at least two domains that the spec does not speak of.
Pairs with null in the place of the other are shown as well; they do not answer the question.
Arms: the untouched model, behavior only, rationale then behavior, and the same with documents about
another assistant: what those do is exposure to the words (total = exposure + attribution). On two
cores this takes about twenty minutes.

For another model than SmolLM set `names`, which the spec's {model_name} and {provider_name} become.
To put your own files in the place of a part, copy this and give `file=` instead of `spec=`.
"""

from pathlib import Path

from vcjax.config import behavior, experiment, rationale, recipe
from vcjax.corpus.spec import read_spec
from vcjax.errors import InputError


def get_config(arg=""):
    if not arg:
        raise InputError("own_spec.py: give your spec after a colon, own_spec.py:path/to/spec.md")
    spec = Path(arg).expanduser().absolute()  # where the command runs, not beside this file
    config = experiment(
        name=f"own-{spec.stem}",
        model="smollm2-135m-instruct",
        seeds=2,
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages=dict(
            rationale=rationale(spec=str(spec), documents=240),
            other=rationale(other_spec=str(spec), documents=240),
            behavior=behavior(spec=str(spec), demonstrations=160, batch_tokens=304),
        ),
        arms=dict(
            base=(),
            behavior=("behavior",),
            both=("rationale", "behavior"),
            other=("other", "behavior"),
        ),
        contrasts=dict(
            total=dict(both=1, behavior=-1),
            exposure=dict(other=1, behavior=-1),
            attribution=dict(both=1, other=-1),
        ),
        primary="total",
        remat="dots",
        eval_every=30,
        probes=(str(spec.with_name("probes.jsonl")),),
    )
    config.toward = read_spec(spec, config.names.to_dict()).value
    return config
