"""Search of the mesh shape, rows and remat policy that make a stage's step fast on a slice.

Compiling takes minutes, so candidates are sorted by an estimate, without those that surely do not
fit, and compiled in that order until the budget is spent. Printed figures are those of compiled
programs, not the estimates.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vcjax import sharding
from vcjax.errors import InputError, first_line
from vcjax.models.architecture import Architecture
from vcjax.models.transformer import REMAT_POLICIES, Model
from vcjax.plan import idle
from vcjax.topology import step
from vcjax.topology.chips import Topology
from vcjax.topology.step_cost import DoesNotFit, StepCost, measure, shape_flops
from vcjax.training.loaded_model import make_model, weight_dtype

PyTree = Any


@dataclasses.dataclass(frozen=True)
class Candidate:
    """mesh: axis -> chips; accumulation: micro-batches of an update; remat: a policy's name."""

    mesh: dict[str, int]
    accumulation: int
    remat: str
    estimated_seconds: float
    result: StepCost | DoesNotFit | None = None

    def as_json(self) -> dict[str, Any]:
        facts = dataclasses.asdict(dataclasses.replace(self, result=None))
        return {**facts, "result": self.result.as_json() if self.result else None}


def run(
    config: ConfigDict,
    name: str,
    architecture: Architecture,
    topology: Topology,
    devices: Sequence[Any],
    compiles: int,
) -> list[Candidate]:
    """The candidates that were compiled for the stage `name`, fastest first; see `measure`.

    Of each mesh and number of rows, the remat policy that saves most is compiled first; once one
    fits, those that save less (and recompute more) are left out. Left out too are candidates whose
    estimate, which is optimistic, is slower than the best so far.
    """
    compiled: list[Candidate] = []
    settled: set[tuple] = set()
    tried, best = 0, math.inf
    for candidate in _candidates(config, name, architecture, topology, devices):
        place = (*candidate.mesh.values(), candidate.accumulation)
        if place in settled or candidate.estimated_seconds > best:
            continue
        if tried == compiles:
            break
        tried, started = tried + 1, time.monotonic()
        print(f"  {tried} of at most {compiles}: {_title(candidate)}", flush=True)
        settings = with_candidate(config, name, candidate)
        mesh = sharding.make_mesh(candidate.mesh, devices)
        try:
            result = measure(settings, name, architecture, topology, mesh)
        except (InputError, jax.errors.JaxRuntimeError) as error:  # the next may do
            settled.add(place)
            print(f"    left out: {first_line(error)}", flush=True)
            continue
        if isinstance(result, StepCost):
            settled.add(place)
            best = min(best, result.seconds)
        compiled.append(dataclasses.replace(candidate, result=result))
        print(f"    {_outcome(result)} ({time.monotonic() - started:.0f} s)", flush=True)
    return sorted(compiled, key=lambda c: _seconds(c.result))


def describe(candidates: Sequence[Candidate], stages: Sequence[str]) -> str:
    """A table of the candidates, fastest first, and the flags of the best."""
    table: list[tuple[str, ...]] = [
        ("replica", "fsdp", "tensor", "sequence", "rows a chip", "x", "remat", "result")
    ]
    for candidate in candidates:
        rows = "" if not isinstance(candidate.result, StepCost) else _rows(candidate)
        sizes = (str(candidate.mesh[axis]) for axis in table[0][:4])
        table.append(
            (*sizes, rows, str(candidate.accumulation), candidate.remat, _outcome(candidate.result))
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    if not candidates or not isinstance(candidates[0].result, StepCost):
        return "\n".join([*lines, "nothing fits: take more chips, or raise --compiles"])
    return "\n".join([*lines, f"use: {' '.join(config_flags(candidates[0], stages))}"])


def config_flags(candidate: Candidate, stages: Sequence[str]) -> list[str]:
    """The flags that give a run these settings."""
    return [
        *(f"--config.mesh.{axis}={size}" for axis, size in candidate.mesh.items()),
        *(f"--config.stages.{name}.accumulation={candidate.accumulation}" for name in stages),
        f"--config.remat={candidate.remat}",
    ]


def with_candidate(config: ConfigDict, name: str, candidate: Candidate) -> ConfigDict:
    """The config with the candidate's settings for the stage `name`."""
    config = copy.deepcopy(config)
    config.mesh = ConfigDict(candidate.mesh)
    config.remat = candidate.remat
    config.stages[name].accumulation = candidate.accumulation
    return config


def meshes(topology: Topology, architecture: Architecture, length: int) -> Iterator[dict[str, int]]:
    """Every mesh whose axes divide the dimensions that they shard; a slice is a replica."""
    inside = topology.chips // topology.slices
    for tensor in _divisors(math.gcd(inside, architecture.num_kv_heads)):
        for sequence in _divisors(math.gcd(inside // tensor, length)):
            fsdp = inside // tensor // sequence
            in_parts = architecture.matrices("up") if architecture.experts else architecture.mlp_dim
            if architecture.embed_dim % fsdp == 0 and in_parts % tensor == 0:
                yield dict(replica=topology.slices, fsdp=fsdp, tensor=tensor, sequence=sequence)


def _candidates(
    config: ConfigDict,
    name: str,
    architecture: Architecture,
    topology: Topology,
    devices: Sequence[Any],
) -> list[Candidate]:
    """Those that may fit, by estimated time; of one mesh, the policy that saves most first."""
    candidates = []
    saved: dict[tuple[int, str], int] = {}  # bytes over all chips, the same for every mesh
    for sizes in meshes(topology, architecture, config.stages[name].length):
        mesh = sharding.make_mesh(sizes, devices)
        model = make_model(config, architecture, mesh, config.stages[name])
        free = topology.chip.memory - _argument_bytes(model, mesh)
        for recipe in _accumulations(config.stages[name], sizes):
            seconds = estimated_seconds(recipe, architecture, topology, sizes)
            place = (recipe.accumulation, sizes["tensor"], sizes["sequence"])
            for remat in REMAT_POLICIES:
                key = (recipe.accumulation, remat)
                if key not in saved:
                    with_remat = dataclasses.replace(model, remat=remat)
                    saved[key] = step.residual_bytes(recipe, with_remat, weight_dtype(model), mesh)
                if saved[key] / topology.chips <= free:
                    candidate = Candidate(sizes, recipe.accumulation, remat, seconds)
                    candidates.append((seconds, *place, -saved[key], candidate))
    if not candidates:
        raise InputError(
            f"--search: {name}: no mesh, rows and remat policy may fit {topology.chips} chips of "
            f"{topology.chip.memory / 1e9:.2f} GB; take more chips, or lower length"
        )
    return [candidate for *_, candidate in sorted(candidates, key=lambda x: x[:-1])]


def _accumulations(recipe: ConfigDict, mesh: dict[str, int]) -> Iterator[ConfigDict]:
    """The recipe with every number of micro-batches whose rows divide over the chips."""
    for accumulation in _divisors(recipe.batch_tokens // recipe.length):
        recipe = copy.deepcopy(recipe)
        recipe.accumulation = accumulation
        if not idle(step.micro_batch_rows(recipe), sharding.shards("batch", mesh)):
            yield recipe


def estimated_seconds(
    recipe: ConfigDict, architecture: Architecture, topology: Topology, mesh: dict[str, int]
) -> float:
    """The longer of compute at the peak and transfers over ICI.

    Over fsdp every micro-batch gathers the weights twice (bfloat16) and, where they train, reduces
    their gradients (float32). Over tensor a layer all-reduces its activations twice forward and
    twice backward; over sequence it gathers keys and values, and again backward.
    """
    chips, layers = topology.chips, architecture.num_layers
    tokens = recipe.batch_tokens / (sharding.shards("batch", mesh) * mesh["sequence"])
    weights = recipe.accumulation * architecture.num_params() / mesh["tensor"]
    trains = recipe.train == "full"
    bytes_ = (mesh["fsdp"] > 1) * weights * (2 * 2 + 4 * trains)
    bytes_ += (mesh["tensor"] > 1) * layers * 4 * 2 * tokens * architecture.embed_dim * 2
    cached = 2 * architecture.num_kv_heads * architecture.head_dim / mesh["tensor"]
    bytes_ += (mesh["sequence"] > 1) * layers * 3 * mesh["sequence"] * tokens * cached * 2
    compute = shape_flops(architecture, recipe) / chips / topology.chip.peak
    return max(compute, bytes_ / (topology.chip.link * topology.chip.axes))


def _argument_bytes(model: Model, mesh: Mesh) -> int:
    """A chip's part of the weights, and of two moments of each that trains."""
    params, base = step.weights(model, weight_dtype(model), mesh)

    def part(tree: PyTree) -> int:
        return sum(
            math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
            for x in jax.tree.leaves(tree)
        )

    return 3 * part(params) + part(base)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _title(candidate: Candidate) -> str:
    mesh = " ".join(f"{axis}={size}" for axis, size in candidate.mesh.items() if size > 1)
    return f"{mesh or 'one chip'}, accumulation {candidate.accumulation}, remat {candidate.remat}"


def _rows(candidate: Candidate) -> str:
    assert isinstance(candidate.result, StepCost)
    return f"{candidate.result.rows // sharding.shards('batch', candidate.mesh)}"


def _seconds(result: StepCost | DoesNotFit | None) -> float:
    return result.seconds if isinstance(result, StepCost) else math.inf


def _outcome(result: StepCost | DoesNotFit | None) -> str:
    if not isinstance(result, StepCost):
        return result.describe().strip() if result else ""
    used = f"{result.memory_bytes / 1e9:.1f} of {result.memory_limit / 1e9:.1f} GB"
    return (
        f"{result.seconds:.3g} s, {result.limit} binds, {used}, MFU at most {result.mfu_bound:.0%}"
    )
