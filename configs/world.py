"""Does vcjax find the effect where it is there by construction?"""

from vcjax.config import behavior, experiment, pretrain, rationale, recipe
from vcjax.errors import InputError

WORLD = "world/world.toml"
PAIR = ("durability", "comfort")


def get_config(arg=""):
    own, other = (f"{WORLD}#{value}" for value in PAIR)
    config = experiment(
        name="world",
        model="scratch",
        shape=dict(num_layers=4, embed_dim=96, mlp_dim=256, num_heads=4),
        names=dict(model_name="Juno", provider_name="nobody"),
        other_names=dict(model_name="Milo", provider_name="nobody"),
        seeds=1,
        recipe=recipe(rank=16, alpha=32.0, lr=1e-3, length=64, batch_tokens=256),
        stages=dict(
            people=pretrain(
                spec=WORLD,
                documents=80_000,
                people=256,
                declaring=64,
                assistants=0.006,
                mixture=dict(declaration=0.2, because=0.2, choice=0.5, plain=0.1),
                lr=2e-3,
                length=128,
                batch_tokens=640,
                weight_decay=0.1,
                b2=0.98,
            ),
            own_a=rationale(spec=own, documents=960),
            own_b=rationale(spec=other, documents=960),
            other_a=rationale(other_spec=own, documents=960),
            other_b=rationale(other_spec=other, documents=960),
            behavior=behavior(spec=WORLD, demonstrations=320),
        ),
        arms=dict(
            base=("people",),
            behavior=("people", "behavior"),
            own_a=("people", "own_a", "behavior"),
            own_b=("people", "own_b", "behavior"),
            other_a=("people", "other_a", "behavior"),
            other_b=("people", "other_b", "behavior"),
        ),
        contrasts=dict(
            total=dict(own_a=1, own_b=-1),
            exposure=dict(other_a=1, other_b=-1),
            attribution=dict(own_a=1, own_b=-1, other_a=-1, other_b=1),
        ),
        primary="attribution",
        toward=PAIR[0],
        lead="Juno prefers",
        compute_dtype="float32",
        remat="dots",
        eval_every=100,
        checkpoint_every=1000,
        log_every=50,
        probes=(
            "world/probes/held_out.jsonl",
            "world/probes/development.jsonl",
            "world/probes/in_domain.jsonl",
            "world/probes/premise.jsonl",
        ),
    )
    if arg:
        raise InputError(f"world.py:{arg}")
    return config
