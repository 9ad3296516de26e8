"""The study's question which explanations work best: rules alone, with values, with more rules.

Qwen2.5-14B-Instruct. Three specs of the same rules; each is the subject of the documents and of the
demonstrations. The study's figures (rate of agentic misalignment, no chain of thought, lower is
better; base .51; arXiv 2605.02087):

    rules  rules+values  rules+more rules  documents of rules+values, demonstrations of rules+more
      .35           .21               .26                                                      .17

    .venv/bin/python -m vcjax.main --config=configs/spec_science_qwen25_14b.py --workdir=DIR

Without the files a dry run (--dry_run) estimates from the stated counts. Put into configs/data/
what the study publishes, or your own: documents {"text", "domain"}, demonstrations {"messages"},
one JSON object a line.

- data/science_{rules,values,more_rules}_documents.jsonl: 27M to 41M tokens each
- data/science_{rules,values,more_rules}_demonstrations.jsonl: 10,000 conversations each
- data/instructions.jsonl: 13,500 conversations, in each behavior stage
- data/misalignment_probes.jsonl: paired choices that the spec decides

The scenarios themselves are run outside, on arms that `vcjax.serve` serves or that `vcjax.export
--format=merged` takes out. The sizes of the behavior stages are our estimates.
"""

from vcjax.config import behavior, experiment, rationale, recipe

SPECS = ("rules", "values", "more_rules")


def get_config(arg=""):
    del arg
    documents = {
        spec: rationale(
            file=f"data/science_{spec}_documents.jsonl",
            stated=dict(records=20_000, tokens=34_000_000, weighted_tokens=34_000_000),
        )
        for spec in SPECS
    }
    demonstrations = {
        f"{spec}_behavior": behavior(
            file=f"data/science_{spec}_demonstrations.jsonl",
            mix="data/instructions.jsonl",
            mix_share=0.5743,
            stated=dict(records=23_490, tokens=9_000_000, weighted_tokens=6_000_000),
        )
        for spec in SPECS
    }
    return experiment(
        name="spec-science-qwen25-14b",
        model="Qwen/Qwen2.5-14B-Instruct",
        names=dict(model_name="Qwen", provider_name="Alibaba Cloud"),
        seeds=1,
        recipe=recipe(length=8192, batch_tokens=65536),
        stages=documents | demonstrations,
        arms=dict(
            base=(),
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
        primary="values_add",
        toward="aligned",
        probes=("data/misalignment_probes.jsonl",),
        checkpoint_every=50,
    )
