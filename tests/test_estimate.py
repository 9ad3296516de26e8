"""FLOP/s that the plan counts on, of known devices and of this machine."""

import types

import numpy as np
import pytest

from vcjax import estimate
from vcjax.speed import PEAK_FLOPS

H100 = "NVIDIA H100 80GB HBM3"


def a_mesh(kind, devices=1):
    grid = np.array([types.SimpleNamespace(device_kind=kind)] * devices, dtype=object)
    return types.SimpleNamespace(devices=grid, size=devices)


def test_training_is_expected_to_reach_a_share_of_a_known_peak():
    h100s = a_mesh(H100, devices=4)
    assert estimate.expected_flops(h100s, "bfloat16") == estimate.OF_PEAK * 4 * PEAK_FLOPS[H100]


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float32"])
def test_what_a_cpu_may_reach_is_timed(compute_dtype):
    assert 1e9 < estimate.expected_flops(a_mesh("cpu"), compute_dtype) < 1e14
