"""TPU chips and their links, by published figures."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from vcjax.errors import InputError, first_line
from vcjax.training.device_peaks import PEAK_FLOPS

GIB = 2**30

# To be set before JAX is imported: the process runs on the CPU and uses libtpu as a compiler only.
COMPILER_ENVIRONMENT = dict(
    JAX_PLATFORMS="cpu",
    TPU_SKIP_MDS_QUERY="1",
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",
    TPU_WORKER_HOSTNAMES="localhost",  # it would ask a TPU VM's metadata; these decide nothing
    TPU_ACCELERATOR_TYPE="v5litepod-8",
)


@dataclasses.dataclass(frozen=True)
class Chip:
    """memory: bytes that a program may use, by the compiler's messages.

    clock: peak FLOP/s over the FLOPs of a cycle (2 x 128 x 128 a matrix unit of v4, v5e and v5p,
    which have 8, 4 and 8 units; four times as many on v6e); peak: bfloat16 FLOP/s; link: bytes/s of
    one ICI link in one direction; dcn: bytes/s to other slices; host: bytes/s to the host's memory;
    whole_axis: along a side that is a multiple of it, a slice's links close to a ring.

    Sources: cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e} (peak, memory, ICI and DCN per chip or pod);
    jax-ml.github.io/scaling-book (what a link reaches: 90 % of the published rate; PCIe). That page
    of v4 has no DCN figure; half of v5p's is assumed. PCIe is that of v6e for all.
    """

    memory: int
    clock: float
    peak: float
    link: float
    dcn: float
    whole_axis: int
    axes: int  # dimensions of a slice
    host: float = 1.5e10
    settings: tuple[tuple[str, str], ...] = ()  # of the compiler's topology


CHIPS = {
    "v4": Chip(
        memory=int(31.25 * GIB),
        clock=1.05e9,
        peak=PEAK_FLOPS["TPU v4"],
        link=4.5e10,
        dcn=3.125e9,
        whole_axis=4,
        axes=3,
        settings=(("chip_config_name", "megacore"),),  # else each half of a chip is a device
    ),
    "v5e": Chip(
        memory=int(15.75 * GIB),
        clock=1.5e9,
        peak=PEAK_FLOPS["TPU v5e"],
        link=4.5e10,
        dcn=3.125e9,
        whole_axis=16,
        axes=2,
    ),
    "v5p": Chip(
        memory=int(95.73 * GIB),
        clock=1.75e9,
        peak=PEAK_FLOPS["TPU v5p"],
        link=9e10,
        dcn=6.25e9,
        whole_axis=4,
        axes=3,
    ),
    "v6e": Chip(
        memory=int(31.24 * GIB),
        clock=1.75e9,
        peak=PEAK_FLOPS["TPU v6e"],
        link=9e10,
        dcn=12.5e9,
        whole_axis=16,
        axes=2,
    ),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """`slices` slices of one shape."""

    name: str  # as v5e:4x4
    chip: Chip
    shape: tuple[int, ...]
    slices: int

    @property
    def chips(self) -> int:
        return math.prod(self.shape) * self.slices

    @property
    def wraps(self) -> tuple[bool, ...]:
        """Whether the links of each dimension close to a ring.

        On v4 and v5p only where all sides are multiples of 4.
        """
        whole = [side % self.chip.whole_axis == 0 for side in self.shape]
        return tuple(whole) if self.chip.axes == 2 else (all(whole),) * self.chip.axes

    def devices(self) -> Sequence[Any]:
        """Devices to compile for. Raises InputError where libtpu is missing or refuses."""
        from jax.experimental import topologies

        wraps = self.wraps + (False,) * (3 - self.chip.axes)
        try:
            described = topologies.get_topology_desc(
                platform="tpu",
                topology_name=self.name,
                num_slices=self.slices,
                wrap=wraps,
                **dict(self.chip.settings),
            )
        except Exception as error:  # RuntimeError, or libtpu's own types
            raise InputError(
                f"--topology={self.name}: the compiler refuses it: {first_line(error)}"
            ) from error
        return described.devices

    def bandwidth(self, coordinates: Sequence[Sequence[int]]) -> float:
        """Bytes/s that a chip receives in a collective among chips at these coordinates.

        One link for each dimension in which the coordinates differ, two where the chips form a
        ring.
        """
        links = 0
        for axis, side in enumerate(self.shape):
            here = len({place[axis] for place in coordinates})
            links += (here > 1) * (1 + (here == side and self.wraps[axis]))
        return max(links, 1) * self.chip.link


def parse(name: str, slices: int) -> Topology:
    """name: CHIP:AxB or CHIP:AxBxC; raises InputError for any other."""
    match = re.fullmatch(r"(\w+):(\d+(?:x\d+)+)", name)
    chip = CHIPS.get(match[1]) if match else None
    shape = tuple(map(int, match[2].split("x"))) if match else ()
    if chip is None or len(shape) != chip.axes or min(shape) < 1:
        raise InputError(
            f"--topology={name}: give the chip ({', '.join(CHIPS)}) and the slice's sides, as "
            "v5e:4x4, v6e:16x16, v5p:2x2x2 or v4:4x4x4"
        )
    if slices < 1:
        raise InputError(f"--slices={slices}: at least 1 is needed")
    return Topology(name, chip, shape, slices)
