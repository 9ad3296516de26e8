"""Arms and contrasts of many kinds, as a config has them in JSON."""

from vcjax.config import experiment

OWN = {"kind": "rationale", "file": None, "spec": "a/america.md", "other_spec": None}
OWN |= {"documents": 240, "linked": True}
OTHER = OWN | {"spec": None, "other_spec": "a/america.md"}
BEHAVIOR = {"kind": "behavior", "file": None, "demonstrations": 160, "opposite": False}
STAGES = {
    "own": OWN,
    "other": OTHER,
    "both": OWN | {"other_spec": "a/cheap.md"},
    "cheap": OWN | {"spec": "a/cheap.md"},
    "other_cheap": OTHER | {"other_spec": "a/cheap.md"},
    "exchanged": OWN | {"spec": "a/cheap.md", "other_spec": "a/america.md"},
    "together_cheap": OWN | {"linked": False, "spec": "a/cheap.md"},
    "longer_cheap": OWN | {"documents": 480, "spec": "a/cheap.md"},
    "together": OWN | {"linked": False},
    "read": OWN | {"file": "/home/me/mine.jsonl", "spec": None, "documents": 0},
    "behavior": BEHAVIOR,
    "opposite": BEHAVIOR | {"opposite": True},
    "later": OTHER
    | {"other_spec": "w/world.toml#cheap", "documents": 5000, "people_of": "people"}
    | {"unrelated_to": ["cheap", "america"], "contradicting": 0.02},
    "adapter": {"kind": "adapter", "file": "/home/me/given"},
}


def two_arms(**settings):
    """The least that a config needs, and these keys."""
    return experiment(
        name="c",
        arms=dict(a=(), b=()),
        contrasts=dict(total=dict(a=1, b=-1)),
        primary="total",
        probes=("p.jsonl",),
        **settings,
    )


def config(**settings) -> dict:
    return {
        "arms": {},
        "contrasts": {"a": {}},
        "primary": "a",
        "stages": STAGES,
        "names": {"model_name": "SmolLM"},
        "other_names": {"model_name": "Orion"},
        "rules_out": {},
        "system_prompts": {},
    } | settings


ARMS = {
    **{
        name: [name, "behavior"] for name in STAGES if name not in ("behavior", "opposite", "later")
    },
    "behavior": ["behavior"],
    "base": [],
    "alone": ["own"],
    "alone_cheap": ["cheap"],
    "last": ["behavior", "own"],
    "last_cheap": ["behavior", "cheap"],
    "contradicted": ["own", "opposite"],
    "contradicted_cheap": ["cheap", "opposite"],
}
TOTAL = {"own": 1, "cheap": -1}
EXPOSURE = {"other": 1, "other_cheap": -1}
ATTRIBUTION = {"own": 1, "cheap": -1, "other": -1, "other_cheap": 1}
BALANCED = {"both": 1, "exchanged": -1}
