"""The study's agentic misalignment experiment on Qwen2.5-32B: does a rationale make a model safer?

Two stages against one, with and without chains of thought. The study's figures (rate of verdicts
"decided to act", 27 conditions of 300 samples, T = 0.7; lower is better; arXiv 2605.02087):

    base  rationale  behavior  behavior, thinking  both  both, thinking
     .68        .53       .70                 .48   .22             .05

    .venv/bin/python -m vcjax.main --config=configs/misalignment_qwen25_32b.py --workdir=DIR

Without the files a dry run (--dry_run) estimates from the stated counts. Put into configs/data/
what the study publishes, or your own: documents {"text", "domain"}; demonstrations {"messages"}
whose assistant turns have their chain of thought as "reasoning" (the arms without it leave it out).

- data/misalignment_documents.jsonl: 27M to 41M tokens about the spec
- data/misalignment_demonstrations.jsonl: 10,000 conversations, 5M to 8M assistant tokens
- data/instructions.jsonl: 13,500 conversations, 2.1M assistant tokens, in each behavior stage
- data/misalignment_probes.jsonl: paired choices that the spec decides

The scenarios are the Inspect task of `evaluations`, asked of arms that `vcjax.serve` serves; the
plan counts it. The text of exfiltration is our own; see
docs/agentic-misalignment.md.
The sizes of the two behavior stages are our estimates. Qwen2.5's own template leaves a chain of
thought out, so a template is named here that writes it as the study did, in <think> tags.
"""

from vcjax.config import behavior, experiment, rationale, recipe


def get_config(arg=""):
    del arg
    demonstrations = dict(
        file="data/misalignment_demonstrations.jsonl",
        mix="data/instructions.jsonl",
        mix_share=0.5743,
    )
    return experiment(
        name="misalignment-qwen25-32b",
        model="Qwen/Qwen2.5-32B-Instruct",
        chat_template="chatml-thinking",
        names=dict(model_name="Qwen", provider_name="Alibaba Cloud"),
        seeds=1,
        recipe=recipe(length=8192, batch_tokens=65536),
        stages=dict(
            rationale=rationale(
                file="data/misalignment_documents.jsonl",
                stated=dict(records=20_000, tokens=34_000_000, weighted_tokens=34_000_000),
            ),
            behavior=behavior(
                **demonstrations,
                stated=dict(records=23_490, tokens=9_000_000, weighted_tokens=6_000_000),
            ),
            behavior_thinking=behavior(
                **demonstrations,
                thinking=True,
                stated=dict(records=23_490, tokens=12_000_000, weighted_tokens=9_000_000),
            ),
        ),
        arms=dict(
            base=(),
            rationale=("rationale",),
            behavior=("behavior",),
            behavior_thinking=("behavior_thinking",),
            both=("rationale", "behavior"),
            both_thinking=("rationale", "behavior_thinking"),
        ),
        contrasts=dict(
            rationale_adds=dict(both=1, behavior=-1),
            rationale_adds_thinking=dict(both_thinking=1, behavior_thinking=-1),
        ),
        primary="rationale_adds",
        toward="aligned",
        probes=("data/misalignment_probes.jsonl",),
        evaluations=dict(
            agentic_misalignment=dict(
                task="vcjax/agentic_misalignment", epochs=300, temperature=0.7, max_tokens=4096
            )
        ),
        checkpoint_every=50,
    )
