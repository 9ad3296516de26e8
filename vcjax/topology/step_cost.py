"""Memory and time of a compiled step on the chips it was compiled for."""

import dataclasses
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from vcjax.models.architecture import Architecture
from vcjax.models.lora import of_recipe
from vcjax.topology import hlo, step
from vcjax.topology.chips import GIB, Topology
from vcjax.training.loaded_model import make_model, weight_dtype
from vcjax.workdir import files


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Per chip and update; bytes and seconds.

    compute_seconds = cycles / clock. ici_seconds, dcn_seconds = bytes / bandwidth; an all-reduce
    counts twice (it is a reduce-scatter and an all-gather), and so do bytes offloaded to the host
    (there and back) in host_seconds. seconds is the largest of the four, as if compute and
    transfers overlapped perfectly. Pallas kernels (attention) are in none of them. A conditional
    counts as its heaviest branch, so no chunk of the head is skipped.

    mfu_bound = shape_flops / (seconds x peak): an upper bound of model FLOPs utilisation (Chowdhery
    et al., arXiv 2204.02311), with attention left out above and below.
    """

    topology: str
    slices: int
    mesh: dict[str, int]
    rows: int  # of a micro-batch, over all chips
    accumulation: int
    length: int
    remat: str
    train: str
    memory: dict[str, int]  # arguments, aliased outputs, other outputs, temporaries, program
    memory_limit: int
    host_bytes: int  # of the host's memory, what is offloaded to it
    program_flops: int
    shape_flops: float
    cycles: int
    cycles_outside_conditionals: int
    kernels: int
    ici_bytes: dict[str, int]
    dcn_bytes: dict[str, int]
    compute_seconds: float
    ici_seconds: float
    dcn_seconds: float
    host_seconds: float
    constants: dict[str, float]

    @property
    def memory_bytes(self) -> int:
        """Of all that is on a chip at once; outputs that reuse an argument's memory count once."""
        return sum(self.memory.values()) - self.memory["outputs_aliased"]

    @property
    def seconds(self) -> float:
        return max(self.compute_seconds, self.ici_seconds, self.dcn_seconds, self.host_seconds)

    @property
    def limit(self) -> str:
        """What takes longest: compute or one of the links."""
        seconds = {
            "compute": self.compute_seconds,
            "link (ICI)": self.ici_seconds,
            "link (DCN)": self.dcn_seconds,
            "link (host)": self.host_seconds,
        }
        return max(seconds, key=lambda name: seconds[name])

    @property
    def mfu_bound(self) -> float:
        return self.shape_flops / (self.seconds * self.constants["peak_flops_per_second"])

    @property
    def tokens_per_second(self) -> float:
        """Of all chips together."""
        return self.rows * self.accumulation * self.length / self.seconds

    def as_json(self) -> dict[str, Any]:
        derived = ("memory_bytes", "seconds", "limit", "mfu_bound", "tokens_per_second")
        values = {name: getattr(self, name) for name in derived}
        return {**dataclasses.asdict(self), **values, "fits": True}

    def describe(self) -> str:
        """For a terminal."""
        memory, constants = self.memory, self.constants
        mesh = " ".join(f"{axis}={size}" for axis, size in self.mesh.items() if size > 1)

        def transfers(what: str, sizes: dict[str, int], seconds: float, rate: str) -> str:
            kinds = ", ".join(f"{kind} {_gb(size)}" for kind, size in sizes.items()) or "nothing"
            return f"{what}{_gb(sum(sizes.values()))} GB ({kinds}), {rate}: {seconds:.3g} s"

        rate = f"{constants['ici_bytes_per_second']:.3g} bytes/s where all chips take part"
        lines = [
            f"  mesh      {mesh or 'of one chip'}: {self.accumulation} "
            f"x {self.rows} rows of {self.length:,} tokens, {self.train}, remat {self.remat}",
            f"  memory    {_gb(self.memory_bytes)} of {_gb(self.memory_limit)} GB "
            f"({self.memory_limit / GIB:.2f} GiB): arguments {_gb(memory['arguments'])} "
            f"(updated in place: {_gb(memory['outputs_aliased'])}), other outputs "
            f"{_gb(memory['outputs_other'])}, temporaries {_gb(memory['temporaries'])}, program "
            f"{_gb(memory['program'])}",
            f"  matmuls   {self.program_flops:.4g} FLOPs in the program, {self.shape_flops:.4g} by "
            "the shapes without recomputation and attention",
            f"  compute   {self.cycles:,} cycles at {constants['clock_hz'] / 1e9:g} GHz: "
            f"{self.compute_seconds:.3g} s; {self.cycles_outside_conditionals:,} of them outside "
            f"conditionals; {self.kernels} calls of Pallas kernels not counted",
            transfers("  ICI       ", self.ici_bytes, self.ici_seconds, rate),
        ]
        if self.slices > 1:
            rate = f"{constants['dcn_bytes_per_second']:.3g} bytes/s"
            lines.append(transfers("  DCN       ", self.dcn_bytes, self.dcn_seconds, rate))
        if self.host_bytes:
            lines.append(
                f"  host      {_gb(self.host_bytes)} GB of its memory a chip, there and back at "
                f"{constants['host_bytes_per_second']:.3g} bytes/s: {self.host_seconds:.3g} s"
            )
        lines.append(
            f"  modelled  {self.seconds:.3g} s an update, {self.limit} binds; "
            f"{self.tokens_per_second:,.0f} tokens/s; MFU at most {self.mfu_bound:.1%} of "
            f"{constants['peak_flops_per_second'] / 1e12:g} TFLOP/s a chip"
        )
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class DoesNotFit:
    """memory_bytes: a chip's need by the compiler's message, None where it does not say."""

    memory_bytes: float | None
    memory_limit: int

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "fits": False, "limit": "memory"}

    def describe(self) -> str:
        limit = f"{_gb(self.memory_limit)} GB a chip; memory binds"
        if self.memory_bytes is None:
            return f"  does not fit {limit}"
        return f"  does not fit, needs {_gb(self.memory_bytes)} of {limit}"


def measure(
    config: ConfigDict,
    name: str,
    architecture: Architecture,
    topology: Topology,
    mesh: Mesh,
    hlo_file: Path | None = None,
) -> StepCost | DoesNotFit:
    """Compiles the step of the stage `name`; hlo_file: where to write the optimized HLO."""
    recipe = config.stages[name]
    model = make_model(config, architecture, mesh, recipe)
    lowered = step.lower(recipe, model, weight_dtype(model), mesh)
    try:
        compiled = step.compile_step(lowered)
    except step.OutOfMemory as error:
        return DoesNotFit(error.needed, topology.chip.memory)
    text = compiled.as_text()
    assert text is not None
    if hlo_file is not None:
        files.write_text(hlo_file, text)
    counts = hlo.count(text), hlo.count(text, conditionals=False)
    memory = compiled.memory_analysis()
    return _report(memory, *counts, topology, mesh, recipe, architecture, config.remat)


def _report(
    memory: Any,
    counts: hlo.Counts,
    outside: hlo.Counts,
    topology: Topology,
    mesh: Mesh,
    recipe: ConfigDict,
    architecture: Architecture,
    remat: str,
) -> StepCost:
    chip = topology.chip
    places = [device.coords for device in mesh.devices.flat][: topology.chips // topology.slices]

    def seconds(between_slices: bool) -> float:
        total = 0.0
        for collective, times in counts.collectives.items():
            if collective.between_slices == between_slices:
                group = [places[i] for i in collective.group] or places
                bandwidth = chip.dcn if between_slices else topology.bandwidth(group)
                passes = 2 if collective.kind == "all-reduce" else 1
                total += times * passes * collective.bytes / bandwidth
        return total

    aliased = memory.alias_size_in_bytes
    return StepCost(
        topology=topology.name,
        slices=topology.slices,
        mesh=dict(mesh.shape),
        rows=step.micro_batch_rows(recipe),
        accumulation=recipe.accumulation,
        length=recipe.length,
        remat=remat,
        train=recipe.train,
        memory=dict(
            arguments=memory.argument_size_in_bytes,
            outputs_aliased=aliased,
            outputs_other=memory.output_size_in_bytes - aliased,
            temporaries=memory.temp_size_in_bytes,
            program=memory.generated_code_size_in_bytes,
        ),
        memory_limit=chip.memory,
        host_bytes=memory.host_temp_size_in_bytes,
        program_flops=counts.matmul_flops,
        shape_flops=shape_flops(architecture, recipe) / topology.chips,
        cycles=counts.cycles,
        cycles_outside_conditionals=outside.cycles,
        kernels=counts.kernels,
        ici_bytes=counts.collective_bytes(between_slices=False),
        dcn_bytes=counts.collective_bytes(between_slices=True),
        compute_seconds=counts.cycles / chip.clock,
        ici_seconds=seconds(between_slices=False),
        dcn_seconds=seconds(between_slices=True),
        host_seconds=2 * memory.host_temp_size_in_bytes / chip.host,
        constants=dict(
            clock_hz=chip.clock,
            peak_flops_per_second=chip.peak,
            ici_link_bytes_per_second=chip.link,
            ici_bytes_per_second=topology.bandwidth(places),
            dcn_bytes_per_second=chip.dcn,
            host_bytes_per_second=chip.host,
        ),
    )


def shape_flops(architecture: Architecture, recipe: ConfigDict) -> float:
    """`Architecture.train_flops` of an update whose tokens all have weight."""
    return architecture.train_flops(of_recipe(recipe), recipe.batch_tokens, recipe.batch_tokens)


def _gb(size: float) -> str:
    return f"{size / 1e9:.3g}"
