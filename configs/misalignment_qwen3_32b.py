"""The study's agentic misalignment experiment on Qwen3-32B: does a rationale make a model safer?

Documents that explain a spec, and demonstrations of it with and without chains of thought; the
files that the study publishes, as they are published. The report sets the paper's figures, and
those that others measured again, beside this run's (arXiv 2605.02087, section 4).

    .venv/bin/python -m vcjax.main --config=configs/misalignment_qwen3_32b.py --workdir=DIR

The data sets come from the hub into its cache. Where they are downloaded already, or there is no
network, name the folder that has one folder for each: configs/misalignment_qwen3_32b.py:FOLDER.
Without model and data a dry run (--dry_run) estimates from the stated counts. Of sft-it-mix the
commit is pinned; those of the others are not known, so they are read as `main` has them.

- msm-qwen-philosophy-spec: 13,201 documents, 41,364,262 tokens
- aft-no-cot-qwen3-philosophy-spec, aft-cot-qwen3-philosophy-spec: 9,963 demonstrations each,
  without and with chains of thought; two files, the first with /no_think in its user's turns
- sft-it-mix: general instructions in every arm, 10,000 rows of its split train_clean, which has
  them in the shares of the paper's table 2

The baseline is trained on the instructions alone, as the study's; the arm without demonstrations
has them, too. Four seeds, as the study. Few demonstrations have a chain of thought that is not
whole: they are left out, and the plan counts them. Ours, for the paper does not say: 65,536 tokens
an update of documents, 16,384 of conversations (some 32, as re-runs), packed rows, clipping at norm
1, and of the stated counts what is not named above.

The run itself has no probes: its measure is the Inspect task of `evaluations`, asked of arms that
`vcjax.serve` serves (docs/agentic-misalignment.md). The text of exfiltration is our own. The
study's open questions (spec-open-qa) need the text of its spec: docs/reproduce.md.
"""

import os

from vcjax.config import behavior, experiment, rationale, recipe, source


def get_config(arg=""):
    def published(name, revision=""):
        """A data set in the folder `arg`, or on the hub."""
        folder = os.path.abspath(os.path.expanduser(arg))
        return f"{folder}/{name}" if arg else f"hub:chloeli/{name}{revision}"

    instructions = published("sft-it-mix", "@791a7d133b396f423a581f5043cf2bd4a418f321")
    table_2 = dict(splits=("train_clean",), rows=10_000)
    return experiment(
        name="misalignment-qwen3-32b",
        model="Qwen/Qwen3-32B",
        chat_template="qwen3-study",
        names=dict(model_name="Qwen", provider_name="Alibaba Cloud"),
        seeds=4,
        recipe=recipe(length=8192, batch_tokens=65536),
        stages=dict(
            rationale=rationale(
                file=published("msm-qwen-philosophy-spec"),
                held_out=0,
                stated=dict(records=13_201, tokens=41_377_463, weighted_tokens=41_377_463),
            ),
            instructions=behavior(
                file=instructions,
                **table_2,
                batch_tokens=16384,
                stated=dict(records=10_000, tokens=2_500_000, weighted_tokens=2_000_000),
            ),
            behavior=behavior(
                file=published("aft-no-cot-qwen3-philosophy-spec"),
                mix=[source(instructions, **table_2)],
                batch_tokens=16384,
                stated=dict(records=19_963, tokens=8_100_000, weighted_tokens=7_000_000),
            ),
            behavior_thinking=behavior(
                file=published("aft-cot-qwen3-philosophy-spec"),
                thinking=True,
                broken="leave_out",
                mix=[source(instructions, **table_2)],
                batch_tokens=16384,
                stated=dict(records=19_963, tokens=11_200_000, weighted_tokens=10_000_000),
            ),
        ),
        arms=dict(
            baseline=("instructions",),
            rationale=("rationale", "instructions"),
            behavior=("behavior",),
            behavior_thinking=("behavior_thinking",),
            both=("rationale", "behavior"),
            both_thinking=("rationale", "behavior_thinking"),
        ),
        contrasts=dict(
            rationale_adds=dict(both=1, behavior=-1),
            rationale_adds_thinking=dict(both_thinking=1, behavior_thinking=-1),
        ),
        rules_out=dict(
            baseline="the general instructions do it",
            rationale="the documents do it without the demonstrations",
        ),
        primary="rationale_adds",
        toward="aligned",
        evaluations=dict(
            agentic_misalignment=dict(
                task="vcjax/agentic_misalignment", epochs=300, temperature=0.7, max_tokens=4096
            )
        ),
        published="study/misalignment_qwen3.toml",
        checkpoint_every=50,
    )
