"""Cycles, matmul FLOPs and collectives of a step, counted in the TPU compiler's optimized HLO.

A loop counts as its body times its bound, a conditional as its heaviest branch. Per chip and step:

- cycles: the compiler's own estimates, which collectives and Pallas kernels do not have.
- matmul FLOPs: 2 for each multiply-add of the convolutions; on a TPU matmuls are convolutions.
- collectives: bytes of their buffers, by kind; of the larger side, which is the output of an
  all-gather and the input of a reduce-scatter. Asynchronous ones count at their start.
  `all-reduce-scatter` is a reduce-scatter that the compiler fused. Between slices the HLO has
  sends and receives over the data center network (DCN), which name the collective they are part of.
"""

import collections
import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterable

import numpy as np

# Bytes an element; types without an entry (token, for example) count as 0.
ELEMENT_BYTES = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64"), 8),
}
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\([^{]*\) -> .* )?\{\s*$")
NAME = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = ")
ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
CYCLES = re.compile(r'estimated_cycles":"(\d+)"')
COLLECTIVE = re.compile(
    r"\s(all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
BETWEEN_SLICES = re.compile(r"\s(?:send|recv)\(.*xla_megascale_runtime")
TRANSFER = re.compile(r'_megascale_transfer_type="(\w+)"')
START = re.compile(r"\s[\w\-]+-start\(|^\s*(?:ROOT )?%?async-collective-start")
RENDEZVOUS = re.compile(r'_rendezvous="([^"]+)"')
FUSION = re.compile(r"\sfusion\(.*calls=%?([\w.\-]+)")
WHILE = re.compile(r"\swhile\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
CALL = re.compile(r"\scall\(.*to_apply=%?([\w.\-]+)")
BRANCHES = re.compile(r"\sconditional\(.*branch_computations=\{([^}]*)\}")
TRUE_AND_FALSE = re.compile(
    r"\sconditional\(.*true_computation=%?([\w.\-]+), false_computation=%?([\w.\-]+)"
)
CONSTANT = re.compile(r"[su]32\[\]\S* constant\((\d+)\)")
CONVOLUTION = re.compile(
    r"\sconvolution\(%?([\w.\-]+), %?([\w.\-]+)\).*?dim_labels=(\w+)_(\w+)->(\w+)"
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """kind; the bytes of one execution; the chips that take part (numbers within a slice)."""

    kind: str
    bytes: int
    group: tuple[int, ...] = ()  # the first of the groups; a permute's first pair; () of all chips
    between_slices: bool = False


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of a computation, or of the whole step, as the module's docstring defines them."""

    cycles: int = 0
    matmul_flops: int = 0
    kernels: int = 0  # executions of Pallas kernels
    collectives: collections.Counter[Collective] = dataclasses.field(
        default_factory=collections.Counter
    )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.cycles + other.cycles,
            self.matmul_flops + other.matmul_flops,
            self.kernels + other.kernels,
            self.collectives + other.collectives,
        )

    def times(self, count: int) -> "Counts":
        scaled = {collective: n * count for collective, n in self.collectives.items()}
        return Counts(
            self.cycles * count,
            self.matmul_flops * count,
            self.kernels * count,
            collections.Counter(scaled),
        )

    def collective_bytes(self, between_slices: bool) -> dict[str, int]:
        """kind -> bytes, inside a slice (over ICI) or between slices (over DCN)."""
        total: collections.Counter[str] = collections.Counter()
        for collective, count in self.collectives.items():
            if collective.between_slices == between_slices:
                total[collective.kind] += collective.bytes * count
        return dict(sorted(total.items()))


def count(text: str, conditionals: bool = True) -> Counts:
    """text: `compiled.as_text()` of a step compiled for a TPU.

    conditionals: False leaves out what is inside conditionals, as other counters do.
    """
    computations, entry = parse(text)

    @functools.cache
    def of(name: str) -> Counts:
        lines = computations[name]
        total = Counts(matmul_flops=_matmul_flops(lines), collectives=_between_slices(lines))
        for line in lines:
            total += of_line(line)
        return total

    def of_line(line: str) -> Counts:
        cycles = sum(map(int, CYCLES.findall(line)[:1]))
        own = Counts(cycles, kernels=int("tpu_custom_call" in line))
        if match := FUSION.search(line):
            return own + of_fusion(match[1], line)
        if match := COLLECTIVE.search(line):
            return own + _once(match[1], line, line)
        if match := WHILE.search(line):
            return own + of(match[2]).times(iterations(computations[match[1]]))
        if match := CALL.search(line):
            return own + of(match[1])
        if conditionals and (taken := branches(line)):
            return own + max(map(of, taken), key=lambda counts: counts.cycles)
        return own

    def of_fusion(name: str, line: str) -> Counts:
        """The matmuls, and at most one collective, inside a fusion; its cycles stand outside.

        An asynchronous collective is in several fusions, of which the first counts.
        """
        inside = Counts(matmul_flops=fused_flops(name))
        fused = next((x for x in computations[name] if COLLECTIVE.search(x)), None)
        if fused is None:
            return inside
        if name.startswith("all-reduce-scatter"):
            return inside + _once("all-reduce-scatter", fused, fused)
        if START.search(line):
            return inside + _once(COLLECTIVE.search(fused)[1], line, fused)  # type: ignore[index]
        return inside

    @functools.cache
    def fused_flops(name: str) -> int:
        lines = computations[name]
        called = (match[1] for line in lines if (match := FUSION.search(line)))
        return _matmul_flops(lines) + sum(map(fused_flops, called))

    return of(entry)


def parse(text: str) -> tuple[dict[str, list[str]], str]:
    """(computation -> its lines, the entry computation)."""
    computations: dict[str, list[str]] = collections.defaultdict(list)
    entry, current = "", ""
    for line in text.splitlines():
        if match := COMPUTATION.match(line):
            current = match[2]
            entry = current if match[1] else entry
        elif line.rstrip() == "}":
            current = ""
        elif current and " = " in line:
            computations[current].append(line)
    return computations, entry


def branches(line: str) -> list[str]:
    """The computations that a conditional chooses among; [] of another operation."""
    if match := BRANCHES.search(line):
        return [name.strip().lstrip("%") for name in match[1].split(",")]
    match = TRUE_AND_FALSE.search(line)
    return [*match.groups()] if match else []


def iterations(condition: Iterable[str]) -> int:
    """A loop's number of iterations: it counts from 0 to the constant in its condition."""
    return max((int(match[1]) for x in condition if (match := CONSTANT.search(x))), default=1)


def _sizes(line: str) -> list[int]:
    """Bytes of the arrays that a line's operation returns."""
    result = line.split(" = ", 1)[1]
    result = result[: result.index(") ")] if result.startswith("(") else result.split(" ", 1)[0]
    return [
        ELEMENT_BYTES.get(kind, 0) * math.prod(map(int, filter(None, dims.split(","))))
        for kind, dims in ARRAY.findall(result)
    ]


def _once(kind: str, line: str, inner: str) -> Counts:
    """One execution. line: the operation that returns the buffers; inner: that with the groups."""
    group = replica_group(inner)
    if START.search(line):  # returns shard, whole and flags
        size = max(_sizes(line), default=0)
    else:
        size = sum(_sizes(line)) * (len(group) if kind == "reduce-scatter" else 1)
    return Counts(collectives=collections.Counter([Collective(kind, size, group)]))


def _between_slices(lines: Iterable[str]) -> collections.Counter[Collective]:
    """A transfer's send and receive share a name; it counts once, with the larger buffer."""
    transfers: dict[str, tuple[str, int]] = {}
    for line in lines:
        if BETWEEN_SLICES.search(line):
            name, transfer = RENDEZVOUS.search(line), TRANSFER.search(line)
            key = name[1] if name else line
            kind = transfer[1].lower().replace("_", "-") if transfer else "one-to-one"
            transfers[key] = (kind, max(transfers.get(key, ("", 0))[1], *_sizes(line)))
    return collections.Counter(
        Collective(kind, size, between_slices=True) for kind, size in transfers.values()
    )


def replica_group(line: str) -> tuple[int, ...]:
    """The chips of the first group of a collective, in any of HLO's three notations.

    {{0,1},{2,3}}; [2,2]<=[4] or [2,2]<=[2,2]T(1,0); mesh['a'=2,'b'=2] {'b'}.
    """
    if match := re.search(r"(?:replica_groups|source_target_pairs)=\{\{([\d,]+)\}", line):
        return tuple(map(int, match[1].split(",")))
    if match := re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
        dims = [*map(int, match[3].split(","))]
        ids = np.arange(math.prod(dims)).reshape(dims)
        if match[4]:
            ids = ids.transpose([*map(int, match[4].split(","))])
        return tuple(ids.reshape(int(match[1]), int(match[2]))[0].tolist())
    if match := re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'([^']+)'=(\d+)", match[1]))
        over = set(re.findall(r"'([^']+)'", match[2]))
        ids = np.arange(math.prod(map(int, sizes.values()))).reshape([*map(int, sizes.values())])
        first = tuple(slice(None) if axis in over else 0 for axis in sizes)
        return tuple(ids[first].ravel().tolist())
    return ()


def _matmul_flops(lines: Iterable[str]) -> int:
    lines = [*lines]
    convolutions = [(line, match) for line in lines if (match := CONVOLUTION.search(line))]
    if not convolutions:
        return 0
    dims = {match[1]: _dims(line) for line in lines if (match := NAME.match(line))}
    return sum(
        _convolution_flops(line, dims[match[1]], dims[match[2]], _dims(line), match.groups()[2:])
        for line, match in convolutions
    )


def _dims(line: str) -> list[int]:
    match = ARRAY.search(line.split(" = ", 1)[1])
    return [*map(int, filter(None, match[2].split(",")))] if match else []


def _convolution_flops(
    line: str, lhs: list[int], rhs: list[int], out: list[int], labels: tuple[str, ...]
) -> int:
    """2 x output batch x output features x input features x the taps of the window inside lhs.

    A matmul's batch dimensions are spatial dimensions with one tap a position.
    """
    left, kernel, result = labels
    flops = 2 * rhs[kernel.index("i")] * out[result.index("b")] * out[result.index("f")]
    spatial = sorted(set(left) - {"b", "f"}, key=int)
    window = _window(line, len(spatial))
    for axis, settings in zip(spatial, window, strict=True):
        flops *= _taps(lhs[left.index(axis)], out[result.index(axis)], *settings)
    return flops


def _window(line: str, axes: int) -> list[tuple[int, int, int, int, int]]:
    """Of each spatial axis: size, stride, padding before, lhs dilation, window dilation."""
    match = re.search(r"window=\{([^}]*)\}", line)
    settings = dict(item.split("=") for item in match[1].split()) if match else {}

    def values(name: str, default: str) -> list[int]:
        return [int(x.split("_")[0]) for x in settings.get(name, default).split("x")]

    ones, zeros = "x".join("1" * axes), "x".join("0" * axes)
    if not axes:
        return []
    return [
        *itertools.zip_longest(
            values("size", ones),
            values("stride", ones),
            values("pad", zeros),
            values("lhs_dilate", ones),
            values("rhs_dilate", ones),
        )
    ]


def _taps(
    size: int, outputs: int, window: int, stride: int, pad: int, dilation: int, step: int
) -> int:
    """Pairs (output, window element) that fall on an element of lhs, as in XLA's cost analysis."""
    at = np.arange(outputs)[:, None] * stride + np.arange(window)[None, :] * step - pad
    return int(((at % dilation == 0) & (at >= 0) & (at < size * dilation)).sum())
