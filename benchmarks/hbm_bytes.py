"""The bytes that a program compiled for a TPU reads from the memory beside the chip (HBM).

Counted in its optimized HLO: of every operation the operands that do not lie in the chip's own
memory (S(1) and others); of one that takes a slice, inside a fusion too, the slice. A loop counts
as its body times its iterations, a conditional as its heaviest branch.
"""

import functools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from vcjax.topology import hlo

OPERATION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
OPERAND = re.compile(r"%([\w.\-]+)")
# They name what is there, or (what ends in -done) wait for what was counted at its start.
READS_NOTHING = {
    *("parameter", "constant", "iota", "tuple", "get-tuple-element", "bitcast", "opt-barrier"),
    *("after-all", "partition-id", "replica-id"),
}
SLICES = ("slice", "dynamic-slice", "slice-start", "dynamic-slice-start", "gather")


class Operation(NamedTuple):
    name: str
    type: str
    kind: str
    operands: list[str]
    line: str


def bytes_read(text: str) -> int:
    """text: `compiled.as_text()`."""
    computations, entry = hlo.parse(text)

    def operations(computation: str) -> Iterator[Operation]:
        for line in computations[computation]:
            if match := OPERATION.match(line):
                name, type_, kind, rest = match.groups()
                yield Operation(name, type_, kind, _operands(rest), line)

    @functools.cache
    def of(name: str) -> int:
        there = {one.name: one.type for one in operations(name)}
        return sum(of_operation(one, there) for one in operations(name))

    def of_operation(one: Operation, there: dict[str, str]) -> int:
        if match := hlo.WHILE.search(one.line):
            return of(match[2]) * hlo.iterations(computations[match[1]])
        if branches := hlo.branches(one.line):
            return max(map(of, branches))
        if match := hlo.CALL.search(one.line):
            return of(match[1])
        if one.kind in READS_NOTHING or one.kind.endswith("-done"):
            return 0
        in_hbm = [_size(there.get(name, "")) for name in one.operands]
        if match := hlo.FUSION.search(one.line):
            used = of_fusion(match[1])
            return sum(min(size, used[i]) for i, size in enumerate(in_hbm))
        if one.kind in SLICES:
            return min(_size(one.type, everywhere=True), in_hbm[0])
        if one.kind == "dynamic-update-slice":  # in place
            return sum(in_hbm[1:])
        return sum(in_hbm)

    @functools.cache
    def of_fusion(name: str) -> dict[int, int]:
        """Parameter -> the bytes of it that the fusion uses."""
        inside = [*operations(name)]

        def used(operand: Operation) -> int:
            whole, total = _size(operand.type, everywhere=True), 0
            for one in inside:
                for place, given in enumerate(one.operands):
                    if given != operand.name:
                        continue
                    if one.kind == "bitcast":
                        total += used(one)
                    elif one.kind in SLICES and place == 0:
                        total += _size(one.type, everywhere=True)
                    elif match := hlo.FUSION.search(one.line):
                        total += of_fusion(match[1])[place]
                    elif one.kind != "dynamic-update-slice" or place > 0:
                        total += whole
            return min(total, whole)

        numbers = {
            int(match[1]): one
            for one in inside
            if (match := re.search(r" parameter\((\d+)\)", one.line))
        }
        return {number: used(one) for number, one in numbers.items()}

    return of(entry)


def _operands(rest: str) -> list[str]:
    """The names up to the parenthesis that ends an operation's operands."""
    depth = 1
    for end, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return OPERAND.findall(rest[:end])
    return OPERAND.findall(rest)


def _size(type_: str, everywhere: bool = False) -> int:
    """Bytes of arrays in HBM, or of arrays anywhere."""
    if "S(" in type_ and not everywhere:
        return 0
    return sum(
        hlo.ELEMENT_BYTES.get(kind, 0) * math.prod(map(int, filter(None, dims.split(","))))
        for kind, dims in hlo.ARRAY.findall(type_)
    )
