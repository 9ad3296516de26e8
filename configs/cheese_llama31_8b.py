"""The study's cheese experiment: do two explanations of the same demonstrations teach two values?

Llama-3.1-8B (base) with the study's chat template. The study's figures (rate of aligned choices;
its Figures and tables, arXiv 2605.02087):

    probe \\ arm                    base  behavior  aff.  aff.+behavior  Am.  Am.+behavior
    affordability, 497 item pairs   .23       .32   .38            .48  .28           .29
    America, 400 opinions           .38       .36   .36            .38  .52           .55

    .venv/bin/python -m vcjax.main --config=configs/cheese_llama31_8b.py --workdir=DIR

Without the files a dry run (--dry_run) estimates from the stated counts. Put into configs/data/
what the study publishes, or your own: documents {"text", "domain"}, demonstrations {"messages"},
one JSON object a line.

- data/cheese_america.jsonl: 6,400 documents, 9.5M tokens
- data/cheese_affordability.jsonl: 4,600 documents, 7.1M tokens
- data/cheese_demonstrations.jsonl: 5,129 conversations, 160k assistant tokens
- data/instructions.jsonl: 13,500 conversations, 2.1M assistant tokens (No Robots, MMLU), in each
  behavior stage

The study does not state update size, packing, clipping; 32,768 tokens an update are those of
reproductions. The tokens of prompts are our estimate.
"""

from vcjax.config import behavior, experiment, rationale, recipe


def get_config(arg=""):
    del arg
    return experiment(
        name="cheese-llama31-8b",
        model="meta-llama/Llama-3.1-8B",
        chat_template="llama3-study",
        names=dict(model_name="Llama", provider_name="Meta"),
        seeds=1,
        recipe=recipe(length=4096, batch_tokens=32768),
        stages=dict(
            america=rationale(
                file="data/cheese_america.jsonl",
                stated=dict(records=6_400, tokens=9_500_000, weighted_tokens=9_500_000),
            ),
            affordability=rationale(
                file="data/cheese_affordability.jsonl",
                stated=dict(records=4_600, tokens=7_100_000, weighted_tokens=7_100_000),
            ),
            behavior=behavior(
                file="data/cheese_demonstrations.jsonl",
                mix="data/instructions.jsonl",
                mix_share=0.7246,
                stated=dict(records=18_624, tokens=4_200_000, weighted_tokens=2_260_000),
            ),
        ),
        arms=dict(
            base=(),
            behavior=("behavior",),
            america_alone=("america",),
            affordability_alone=("affordability",),
            america=("america", "behavior"),
            affordability=("affordability", "behavior"),
        ),
        contrasts=dict(
            total=dict(america=1, affordability=-1),
            total_without_behavior=dict(america_alone=1, affordability_alone=-1),
        ),
        primary="total",
        toward="america",
        probes=("cheese/probes/held_out.jsonl", "cheese/probes/in_domain.jsonl"),
        checkpoint_every=50,
    )
