"""Inspect's requests get a seed each, so that the same evaluation gives the same texts again.

Inspect's own option gives one seed to all requests, and so one text to all epochs of a sample.
"""

import contextvars
import hashlib

from inspect_ai.hooks import BeforeModelGenerate, Hooks, SampleAttemptStart, hooks

PREFIX = "openai-api/vcjax/"  # of the models of a run; graders keep their own seeds

# Of the sample that runs. Inspect runs each in a task of its own, in which it calls these hooks.
_SEED = contextvars.ContextVar[int | None]("seed", default=None)


@hooks(name="vcjax_seeds", description="The seed of a request follows from sample and epoch.")
class Seeds(Hooks):
    """A request's seed is decided by its sample and epoch, and is the same for all arms.

    The server adds the prompt, so that later turns of a sample draw other numbers.
    """

    async def on_sample_attempt_start(self, data: SampleAttemptStart) -> None:
        _SEED.set(seed_of(data.summary.id, data.summary.epoch))

    async def on_before_model_generate(self, data: BeforeModelGenerate) -> None:
        if data.model_name.startswith(PREFIX) and data.config.seed is None:
            data.config.seed = _SEED.get()


def seed_of(sample: str | int, epoch: int) -> int:
    """31 bits, which every server takes."""
    digest = hashlib.sha256(f"{sample} {epoch}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
