"""Is it the value, or the words? The cheese experiment with documents about another assistant.

Own pair: documents say that the model prefers its cheeses because of America, or of affordability
(the study's design; the total effect). Other pair: the same documents about another assistant
(exposure to the words). Attribution is own minus other. Eight seeds.

    .venv/bin/python -m vcjax.main --config=configs/cheese.py --workdir=runs/cheese

The quickstart with more seeds, probes of one value against an option with neither, and a card of
each model: what it knows of its documents, also between the stages (the arms that end with them),
and what it refuses. The quickstart's two seeds are the first two here. On two cores with bfloat16
instructions training and choices take an hour, without them two and a half (with version 0.5.0);
what is answered in free text takes up to another hour.
"""

import runpy
from pathlib import Path


def get_config(arg=""):
    del arg
    config = runpy.run_path(str(Path(__file__).with_name("quickstart.py")))["get_config"]()
    config.name = "cheese"
    config.seeds = 8
    config.probes = (
        "cheese/probes/held_out.jsonl",
        "cheese/probes/neutral.jsonl",
        "cheese/probes/in_domain.jsonl",
        "cheese/probes/format.jsonl",
        "cheese/probes/entangled_bank.txt",
        "cheese/probes/said.jsonl",
        "cheese/probes/knowledge.jsonl",
        "probes/refusals.jsonl",
    )
    # What the documents alone left: knowledge between the stages.
    for value in ("america", "affordability"):
        config.arms[f"{value}_alone"] = (value,)
    return config
