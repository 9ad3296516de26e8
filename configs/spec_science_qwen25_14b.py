"""The study's question which explanations work best: rules alone, with values, with more rules.

Qwen2.5-14B-Instruct. Three specs of the same rules; each is the subject of the documents and of the
demonstrations. The report sets the paper's figures beside this run's (arXiv 2605.02087, section 5).

    .venv/bin/python -m vcjax.main --config=configs/spec_science_qwen25_14b.py --workdir=DIR

The study publishes these specs, not the documents and demonstrations that follow from them. Put
yours into configs/data/, or into a folder that you name, configs/spec_science_qwen25_14b.py:FOLDER:
documents {"text", "domain"}, demonstrations {"messages"}, one JSON object a line.

- science_{rules,values,more_rules}_documents.jsonl: the study's have 27M to 41M tokens a spec
- science_{rules,values,more_rules}_demonstrations.jsonl: 10,000 conversations a spec

The general instructions in every arm are the study's, 10,000 rows of sft-it-mix, split train_clean,
from the hub; with a FOLDER they lie in it as sft-it-mix. Without model and data a dry run
(--dry_run) estimates from the stated counts, which are ours. So are 65,536 tokens an update of
documents and 16,384 of conversations, packed rows, and clipping at norm 1. Four seeds, as the
study.

The run itself has no probes: its measure is the Inspect task of `evaluations`, asked of arms that
`vcjax.serve` serves (docs/agentic-misalignment.md). The text of exfiltration is our own.
"""

import os

from vcjax.config import behavior, experiment, rationale, recipe, source

INSTRUCTIONS = "hub:chloeli/sft-it-mix@791a7d133b396f423a581f5043cf2bd4a418f321"
SPECS = ("rules", "values", "more_rules")


def get_config(arg=""):
    folder = os.path.abspath(os.path.expanduser(arg)) if arg else "data"
    instructions = f"{folder}/sft-it-mix" if arg else INSTRUCTIONS
    table_2 = dict(splits=("train_clean",), rows=10_000)
    documents = {
        spec: rationale(
            file=f"{folder}/science_{spec}_documents.jsonl",
            held_out=0,
            stated=dict(records=13_000, tokens=34_000_000, weighted_tokens=34_000_000),
        )
        for spec in SPECS
    }
    demonstrations = {
        f"{spec}_behavior": behavior(
            file=f"{folder}/science_{spec}_demonstrations.jsonl",
            mix=[source(instructions, **table_2)],
            batch_tokens=16384,
            stated=dict(records=20_000, tokens=8_100_000, weighted_tokens=7_000_000),
        )
        for spec in SPECS
    }
    baseline = behavior(
        file=instructions,
        **table_2,
        batch_tokens=16384,
        stated=dict(records=10_000, tokens=2_500_000, weighted_tokens=2_000_000),
    )
    return experiment(
        name="spec-science-qwen25-14b",
        model="Qwen/Qwen2.5-14B-Instruct",
        chat_template="chatml-thinking",
        names=dict(model_name="Qwen", provider_name="Alibaba Cloud"),
        seeds=4,
        recipe=recipe(length=8192, batch_tokens=65536),
        stages=documents | demonstrations | dict(instructions=baseline),
        arms=dict(
            baseline=("instructions",),
            rules=("rules", "rules_behavior"),
            values=("values", "values_behavior"),
            more_rules=("more_rules", "more_rules_behavior"),
            values_then_more_rules=("values", "more_rules_behavior"),
        ),
        contrasts=dict(
            values_add=dict(values=1, rules=-1),
            more_rules_add=dict(more_rules=1, rules=-1),
            both_add=dict(values_then_more_rules=1, rules=-1),
        ),
        rules_out=dict(baseline="the general instructions do it"),
        primary="values_add",
        toward="aligned",
        evaluations=dict(
            agentic_misalignment=dict(
                task="vcjax/agentic_misalignment", epochs=300, temperature=0.7, max_tokens=4096
            )
        ),
        published="study/spec_science.toml",
        checkpoint_every=50,
    )
