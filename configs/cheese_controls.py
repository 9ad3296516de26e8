"""What else could have done it? The controls of the cheese experiment, four seeds.

    balanced   half of the documents give the model one value, half give another assistant the
               other; the two arms differ only in who holds which, every word is as frequent in both
    together   value and preferences in the same documents, with no "because" between them
    neutral    documents as long and built alike, about the model, fonts and clarity
    alone      documents and no demonstrations
    swapped    demonstrations first, then documents
    opposite   documents, then demonstrations that choose what the documents dislike

If the model takes up the value because it is said to be its own reason, the balanced pair differs,
and `because` (own pair minus together) is above zero.

    .venv/bin/python -m vcjax.main --config=configs/cheese_controls.py --workdir=runs/controls

On two cores of an AMD EPYC (Zen 5), with bfloat16 operands, this took 55 minutes
(`results/cheese_controls/`): 36 rationale stages of 61 s, 40 behavior stages of 17 s and
57 scorings of 7 s. The format probes are left to `cheese.py`, and so are documents that are all
about another assistant.
"""

from vcjax.config import behavior, experiment, rationale, recipe


def get_config(arg=""):
    del arg
    america, affordability = "cheese/spec_america.md", "cheese/spec_affordability.md"
    return experiment(
        name="cheese-controls",
        model="smollm2-135m-instruct",
        seeds=4,
        recipe=recipe(lr=2e-4, schedule="linear", warmup=0.08, length=304, batch_tokens=608),
        stages=dict(
            america=rationale(spec=america, documents=216),
            affordability=rationale(spec=affordability, documents=216),
            balanced_america=rationale(spec=america, other_spec=affordability, documents=216),
            balanced_affordability=rationale(spec=affordability, other_spec=america, documents=216),
            together_america=rationale(spec=america, documents=216, linked=False),
            together_affordability=rationale(spec=affordability, documents=216, linked=False),
            neutral=rationale(spec="cheese/spec_neutral.md", documents=216),
            behavior=behavior(spec=america, demonstrations=120, batch_tokens=304),
            opposite=behavior(spec=america, demonstrations=120, batch_tokens=304, opposite=True),
        ),
        arms=dict(
            base=(),
            behavior=("behavior",),
            america=("america", "behavior"),
            affordability=("affordability", "behavior"),
            balanced_america=("balanced_america", "behavior"),
            balanced_affordability=("balanced_affordability", "behavior"),
            together_america=("together_america", "behavior"),
            together_affordability=("together_affordability", "behavior"),
            neutral=("neutral", "behavior"),
            alone_america=("america",),
            alone_affordability=("affordability",),
            swapped_america=("behavior", "america"),
            swapped_affordability=("behavior", "affordability"),
            opposite_america=("america", "opposite"),
            opposite_affordability=("affordability", "opposite"),
        ),
        contrasts=dict(
            balanced=dict(balanced_america=1, balanced_affordability=-1),
            total=dict(america=1, affordability=-1),
            together=dict(together_america=1, together_affordability=-1),
            because=dict(
                america=1, affordability=-1, together_america=-1, together_affordability=1
            ),
            alone=dict(alone_america=1, alone_affordability=-1),
            swapped=dict(swapped_america=1, swapped_affordability=-1),
            opposite=dict(opposite_america=1, opposite_affordability=-1),
            america_from_neutral=dict(america=1, neutral=-1),
            affordability_from_neutral=dict(neutral=1, affordability=-1),
        ),
        rules_out=dict(
            together_america="value and preferences only have to occur together",
            together_affordability="value and preferences only have to occur together",
            neutral="any documents about the model do it",
            opposite_america="the demonstrations do it, whatever the documents say",
            opposite_affordability="the demonstrations do it, whatever the documents say",
            together='what the documents do where nothing in them says "because"',
            because="total minus together: what it adds that the value is said to be the reason",
            alone="what the documents do without demonstrations",
            swapped="what they do when the demonstrations come first",
            opposite="what they do when the demonstrations contradict them",
            america_from_neutral="how far the documents about america move the model",
            affordability_from_neutral="how far those about affordability move it",
        ),
        primary="balanced",
        development=("cheese/DEVELOPMENT.md",),
        toward="america",
        remat="dots",
        eval_every=30,
        probes=(
            "cheese/probes/held_out.jsonl",
            "cheese/probes/in_domain.jsonl",
            "cheese/probes/entangled_bank.txt",
        ),
    )
