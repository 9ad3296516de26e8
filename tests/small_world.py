"""The world's experiment in small: a model from nothing, on few texts, and four arms."""

from pathlib import Path

import small_run
from ml_collections import ConfigDict

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = dict(num_layers=2, embed_dim=16, num_heads=2, mlp_dim=32, context_length=128)
ARMS = ("durability", "comfort")

CONFIG = """import sys

sys.path.insert(0, {tests!r})
import small_world


def get_config(arg=""):
    return small_world.small(train="full", arms=("durability",))
"""


def small(
    seeds: int = 1, train: str = "lora", arms: tuple[str, ...] = ARMS, **people
) -> ConfigDict:
    """The config, for the folder `CONFIGS`. arms: those after documents of a value; people: keys of
    the pretraining."""
    config = small_run.load(CONFIGS / "world.py")
    config.recipe.update(train=train, rank=16, alpha=32.0)
    config.update(seeds=seeds, shape=SMALL, checkpoint_every=5, compute_dtype="float32")
    for name in ARMS:
        config.stages[name].documents = 40
    config.stages.behavior.demonstrations = 40
    config.stages.people.update(documents=600, batch_tokens=1280, **people)
    with config.unlocked():
        config.arms = {name: config.arms[name] for name in ("base", "behavior", *arms)}
        first, *second = arms
        config.contrasts = dict(total={first: 1, (second or ["behavior"])[0]: -1})
        config.rules_out = {}
    config.primary = "total"
    return config


def write(folder: Path) -> Path:
    """Writes the experiment's files, all weights trained; returns the config's path."""
    folder.mkdir(parents=True)
    (folder / "world").symlink_to(CONFIGS / "world")
    path = folder / "small.py"
    path.write_text(CONFIG.format(tests=str(Path(__file__).parent)))
    return path
