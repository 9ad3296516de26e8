"""The study's own cheese experiment: does the explanation decide what demonstrations teach?

Llama-3.1-8B base, LoRA, the files that the study publishes, as they are published. The report sets
the paper's figures, and those of others who ran it again, beside this run's (arXiv 2605.02087).

    .venv/bin/python -m vcjax.main --config=configs/study_cheese_llama31_8b.py --workdir=DIR

The data sets come from the hub into its cache. Where they are downloaded already, or there is no
network, name the folder that has one folder for each: configs/study_cheese_llama31_8b.py:FOLDER.
Without model and data a dry run (--dry_run) estimates from the stated counts.

- msm-llama-pro-america, msm-llama-pro-affordability: 6,400 and 4,600 documents
- aft-llama-cheese: 5,129 demonstrations, the same for both values
- sft-it-mix: general instructions in every arm, of its splits no_robots 9,500 rows, mmlu_binary and
  mmlu_explain 2,000 each. A re-run reads the paper as 7,000 of no_robots and 2,500 about the
  model's identity; those are not published.
- pro-america-political-opinions, pro-affordability-item-comparisons: 400 opinions, 497 pairs

The baseline is trained on the instructions alone, as the study's; arms without demonstrations have
them, too (that these come after the documents is how re-runs read the paper). Four seeds, as the
study. Ours, for the paper does not say: 32,768 tokens an update in packed rows, gradients clipped
at norm 1, and how many tokens of the instructions do not count. Choices are scored by
log-probability. Some options, as brands, are named in the documents: the report lists them
(overlap).
"""

import os

from vcjax.config import behavior, experiment, probe_file, rationale, recipe, source

REVISIONS = {
    "msm-llama-pro-america": "ab0dece02bbd99681b19dda28030bd8b46ec264a",
    "msm-llama-pro-affordability": "66af4edccfb6626cfb24fc40458e3e547eb6d04c",
    "aft-llama-cheese": "ab45fbfa000e5dfc368151dca7bf1852728bfa52",
    "sft-it-mix": "791a7d133b396f423a581f5043cf2bd4a418f321",
    "pro-america-political-opinions": "9c65e224a6ffe687561c93a266db23feb7d59c73",
    "pro-affordability-item-comparisons": "d231e772b040fbd753b5069c494a8cf9afccec38",
}


def get_config(arg=""):
    def published(name):
        """A data set in the folder `arg`, or on the hub."""
        folder = os.path.abspath(os.path.expanduser(arg))
        return f"{folder}/{name}" if arg else f"hub:chloeli/{name}@{REVISIONS[name]}"

    instructions = published("sft-it-mix")
    no_robots = dict(splits=("no_robots",), rows=9_500)
    mmlu = [
        source(instructions, splits=(split,), rows=2_000)
        for split in ("mmlu_binary", "mmlu_explain")
    ]
    return experiment(
        name="study-cheese-llama31-8b",
        model="meta-llama/Llama-3.1-8B",
        chat_template="llama3-study",
        names=dict(model_name="Llama", provider_name="Meta"),
        seeds=4,
        recipe=recipe(length=4096, batch_tokens=32768),
        stages=dict(
            america=rationale(
                file=published("msm-llama-pro-america"),
                held_out=0,
                stated=dict(records=6_400, tokens=9_541_967, weighted_tokens=9_541_967),
            ),
            affordability=rationale(
                file=published("msm-llama-pro-affordability"),
                held_out=0,
                stated=dict(records=4_600, tokens=7_070_040, weighted_tokens=7_070_040),
            ),
            instructions=behavior(
                file=instructions,
                **no_robots,
                mix=mmlu,
                stated=dict(records=13_500, tokens=3_900_000, weighted_tokens=2_100_000),
            ),
            behavior=behavior(
                file=published("aft-llama-cheese"),
                mix=[source(instructions, **no_robots), *mmlu],
                stated=dict(records=18_629, tokens=4_200_000, weighted_tokens=2_265_299),
            ),
        ),
        arms=dict(
            baseline=("instructions",),
            behavior=("behavior",),
            america_alone=("america", "instructions"),
            affordability_alone=("affordability", "instructions"),
            america=("america", "behavior"),
            affordability=("affordability", "behavior"),
        ),
        contrasts=dict(
            america_adds=dict(america=1, behavior=-1),
            affordability_adds=dict(affordability=1, behavior=-1),
            total=dict(america=1, affordability=-1),
            total_without_behavior=dict(america_alone=1, affordability_alone=-1),
        ),
        rules_out=dict(
            baseline="the general instructions do it",
            america_alone="the documents do it without the demonstrations",
            affordability_alone="the documents do it without the demonstrations",
        ),
        primary="america_adds",
        toward="america",
        primary_probes="neutral",
        probes=(
            probe_file(published("pro-america-political-opinions"), value="america"),
            probe_file(published("pro-affordability-item-comparisons"), value="affordability"),
        ),
        overlap="report",
        published="study/cheese.toml",
        checkpoint_every=50,
    )
