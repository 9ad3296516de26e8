"""Inspect's requests get a seed each, so that the same evaluation gives the same texts again.

Inspect's own option gives one seed to all requests, and so one text to all epochs of a sample.
"""

import hashlib

from inspect_ai.hooks import BeforeModelGenerate, Hooks, SampleStart, hooks

PREFIX = "openai-api/vcjax/"  # of the models of a run; graders keep their own seeds


@hooks(name="vcjax_seeds", description="The seed of a request follows from sample and epoch.")
class Seeds(Hooks):
    """A request's seed is decided by its sample and epoch, and is the same for all arms.

    The server adds the prompt, so that later turns of a sample draw other numbers.
    """

    def __init__(self) -> None:
        self._seeds: dict[str, int] = {}  # of the samples that run, by Inspect's names of them

    async def on_sample_start(self, data: SampleStart) -> None:
        self._seeds[data.sample_id] = seed_of(data.summary.id, data.summary.epoch)

    async def on_before_model_generate(self, data: BeforeModelGenerate) -> None:
        is_of_run = data.model_name.startswith(PREFIX)
        if is_of_run and data.config.seed is None and data.sample_id in self._seeds:
            data.config.seed = self._seeds[data.sample_id]


def seed_of(sample: str | int, epoch: int) -> int:
    """31 bits, which every server takes."""
    digest = hashlib.sha256(f"{sample} {epoch}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
