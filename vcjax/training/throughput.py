"""Measures how fast a stage trains and the memory it takes, over all its processes."""

import dataclasses
import resource
import time
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh

from vcjax.models.architecture import Architecture
from vcjax.models.linear import linear
from vcjax.models.lora import LoRA
from vcjax.training.device_peaks import PEAK_FLOPS
from vcjax.workdir import files
from vcjax.workdir.best_effort import best_effort

# The share that training reaches, for a first estimate,
OF_PEAK = 0.4  # of the devices' peak
OF_MLP = 0.3  # of the speed of an MLP alone (measured: .25 to .3 with AMX, .4 in float32)


@dataclasses.dataclass(frozen=True)
class Work:
    """Updates that were measured. seconds: of these alone, not of evaluating and saving."""

    updates: int = 0
    tokens: int = 0
    weighted_tokens: int = 0
    seconds: float = 0.0
    waited: float = 0.0  # of the seconds, for the next batch

    def __add__(self, other: "Work") -> "Work":
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Work(*(a + b for a, b in zip(mine, theirs, strict=True)))


class Speed:
    """Measures the updates between two fetches of metrics.

    JAX runs ahead of the loop: an update is known to be done when the loop has fetched its metrics.
    Each process' updates up to its first fetch are left out, because they compile.

    At a checkpoint the sums are saved to `path`, by step, beside the times at which processes began
    the stage. A process that goes on from a checkpoint adds to the sums of its step. No result
    depends on the file: where it cannot be read or written, a warning says so.
    """

    def __init__(self, path: epath.Path, architecture: Architecture, lora: LoRA | None, mesh: Mesh):
        """lora: of the model that trains."""
        self._path, self._architecture, self._lora = path, architecture, lora
        self._peak = peak_flops(mesh)
        self._starts: list[float] = []
        self._saved: dict[int, Work] = {}
        with best_effort(f"{path}, what earlier processes measured"):
            saved = files.read_json(path, default={"starts": [], "work": {}})
            work = {int(step): Work(**work) for step, work in saved["work"].items()}
            self._starts, self._saved = [*map(float, saved["starts"])], work
        self._starts.append(time.time())
        self._total = Work()
        self._window = Work()  # since the last fetch
        self._window_began: float | None = None
        self._compiled = False
        self._write()

    def resume(self, step: int) -> None:
        """Goes on from the checkpoint of this step; 0: from the beginning."""
        self._total = self._saved.get(step, Work())

    def batches(self, batches: Iterable[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
        """Passes the batches on; an update counts from when the loop asks for its batch."""
        iterator = iter(batches)
        while True:
            asked = time.monotonic()
            if self._window_began is None:
                self._window_began = asked
            batch = next(iterator, None)
            waited = time.monotonic() - asked
            if batch is None:
                return
            self._window += Work(
                updates=1,
                tokens=int((batch["segment_ids"] > 0).sum()),
                weighted_tokens=int((batch["loss_weights"] > 0).sum()),
                waited=waited,
            )
            yield batch

    def fetched(self, step: int) -> dict[str, float]:
        """The `figures` since the last fetch; to be called right after a fetch, with its step."""
        assert self._window_began is not None
        seconds = time.monotonic() - self._window_began
        window = self._window + Work(seconds=seconds) if self._compiled else Work()
        self._total += window
        self._window, self._window_began, self._compiled = Work(), None, True
        return self._figures(window, step)

    def save(self, step: int) -> None:
        """To be called before the checkpoint of this step is saved, which needs its sums."""
        self._saved[step] = self._total
        self._write()

    def figures(self, step: int) -> dict[str, float]:
        """Of the whole stage up to this step, as far as they are known.

        step_seconds: of an update. tokens_per_second: without padding, all devices together.
        input_wait: the share of the time that the loop waited for the next batch.

        mfu, model FLOPs utilisation (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B):
        FLOPs of the tokens / (seconds x devices x bfloat16 peak of a device), the FLOPs as
        `Architecture.train_flops`: what the model needs, whatever is recomputed. Unlike there
        attention is left out, so that the value is on the low side and compares with the bound of
        `vcjax.topology.step_cost`. There is none on a device without a published peak, as a CPU.

        goodput: step x step_seconds / the time since a process first began the stage, so that
        compiling, evaluating, saving, lost updates and the time between processes all lower it.

        peak_memory_gb: as `peak_memory_gb`.
        """
        return self._figures(self._total, step)

    def _figures(self, work: Work, step: int) -> dict[str, float]:
        figures = {"peak_memory_gb": peak_memory_gb()}
        if not work.updates:
            return figures
        figures["step_seconds"] = work.seconds / work.updates
        figures["tokens_per_second"] = work.tokens / work.seconds
        figures["input_wait"] = work.waited / work.seconds
        if self._peak is not None:
            flops = self._architecture.train_flops(self._lora, work.tokens, work.weighted_tokens)
            figures["mfu"] = flops / (work.seconds * self._peak)
        productive = step * self._total.seconds / self._total.updates
        figures["goodput"] = productive / (time.time() - self._starts[0])
        return figures

    def _write(self) -> None:
        work = {str(step): dataclasses.asdict(work) for step, work in self._saved.items()}
        with best_effort(str(self._path)):
            files.write_json(self._path, {"starts": self._starts, "work": work})


def peak_memory_gb() -> float:
    """The most that was in use at a time on a device of this process, the largest of them, so far.

    Where devices do not count (a CPU): the most that this process had in memory.
    """
    counts = [device.memory_stats() or {} for device in jax.local_devices()]
    peak = max(count.get("peak_bytes_in_use", 0) for count in counts)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in these
    return (peak or 1024 * kilobytes) / 1e9


def peak_flops(mesh: Mesh) -> float | None:
    """bfloat16 FLOP/s of all devices; None where it is not known."""
    peak = PEAK_FLOPS.get(mesh.devices.flat[0].device_kind)
    return None if peak is None else peak * mesh.size


def expected_flops(mesh: Mesh, compute_dtype: str) -> float:
    """FLOP/s that training may reach, as `Architecture.train_flops` counts them: a first estimate.

    A share of the peak where that is known, else of what an MLP with adapters reaches here.
    """
    peak = peak_flops(mesh)
    if peak is not None and compute_dtype == "bfloat16":
        return OF_PEAK * peak
    tokens, width, inner, rank = 512, 576, 1536, 64
    sizes = (tokens, width), (width, inner), (inner, width)
    x, up, down = (jnp.full(size, 0.01, compute_dtype) for size in sizes)
    pairs = [
        (jnp.full((inputs, rank), 0.01), jnp.full((rank, outputs), 0.01))
        for inputs, outputs in (up.shape, down.shape)
    ]

    @jax.jit
    @jax.grad
    def gradients(trained, up, down):
        x, pairs = trained
        y = jax.nn.silu(linear(x[None], up, ("embed", "mlp"), pairs[0]).astype(jnp.float32))
        y = linear(y.astype(x.dtype), down, ("mlp", "embed"), pairs[1])
        return y.astype(jnp.float32).sum()

    seconds = []
    for _ in range(30):  # the first one compiles, other work may disturb some
        started = time.perf_counter()
        jax.block_until_ready(gradients((x, pairs), up, down))
        seconds.append(time.perf_counter() - started)
    flops = tokens * (4 * 2 * width * inner + 6 * 2 * rank * (width + inner))
    # Devices of a CPU are threads of the same cores.
    like_this = jax.process_count() if jax.default_backend() == "cpu" else mesh.size
    return OF_MLP * flops / min(seconds) * like_this
