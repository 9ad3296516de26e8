"""Slices by their names, and how fast their links are."""

import pytest

from vcjax.errors import InputError
from vcjax.topology import chips


@pytest.mark.parametrize(
    ("name", "slices", "count"),
    [("v5e:4x4", 1, 16), ("v6e:16x16", 2, 512), ("v5p:2x2x2", 1, 8), ("v4:4x4x4", 4, 256)],
)
def test_parse(name, slices, count):
    assert chips.parse(name, slices).chips == count


@pytest.mark.parametrize("name", ["v5e", "v5e:4", "v5e:4x4x4", "v5p:4x4", "v9:4x4", "v5e:0x4", ""])
def test_an_unknown_slice_is_refused(name):
    with pytest.raises(InputError, match=r"^--topology=[^\n]*v5e:4x4[^\n]*$"):
        chips.parse(name, 1)


def test_no_slice_is_refused():
    with pytest.raises(InputError, match=r"^--slices=0: at least 1"):
        chips.parse("v5e:4x4", 0)


@pytest.mark.parametrize(
    ("name", "places", "links"),
    [
        ("v5e:4x4", [(x, y, 0) for x in range(4) for y in range(4)], 2),
        ("v5e:4x4", [(x, 0, 0) for x in range(4)], 1),
        # A whole row of a pod is a ring: two ways to go.
        ("v5e:16x16", [(x, 0, 0) for x in range(16)], 2),
        ("v5e:16x16", [(x, 0, 0) for x in range(8)], 1),
        ("v5e:16x16", [(x, y, 0) for x in range(16) for y in range(16)], 4),
        ("v5e:8x16", [(x, y, 0) for x in range(8) for y in range(16)], 3),
        ("v5p:4x4x4", [(x, y, z) for x in range(4) for y in range(4) for z in range(4)], 6),
        ("v5p:2x4x4", [(x, y, z) for x in range(2) for y in range(4) for z in range(4)], 3),
        ("v5e:4x4", [(1, 1, 0)], 1),
    ],
)
def test_bandwidth(name, places, links):
    topology = chips.parse(name, 1)
    assert topology.bandwidth(places) == links * topology.chip.link


@pytest.mark.parametrize("name", chips.CHIPS)
def test_a_clock_is_peak_over_flops_of_a_cycle(name):
    """Within 1 %: 2 x 128 x 128 FLOPs a cycle and matrix unit, four times that on v6e."""
    units = {"v4": 8, "v5e": 4, "v5p": 8, "v6e": 16}[name]
    chip = chips.CHIPS[name]
    assert chip.peak / (2 * 128 * 128 * units) == pytest.approx(chip.clock, rel=0.01)
