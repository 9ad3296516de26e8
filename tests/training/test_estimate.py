"""FLOP/s that the plan counts on, of known devices and of this machine."""

import pytest
import tiny

from vcjax.training import estimate
from vcjax.training.throughput import PEAK_FLOPS


def test_training_is_expected_to_reach_a_share_of_a_known_peak():
    h100s = tiny.device_mesh(tiny.H100, 4)
    assert (
        estimate.expected_flops(h100s, "bfloat16") == estimate.OF_PEAK * 4 * PEAK_FLOPS[tiny.H100]
    )


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float32"])
def test_what_a_cpu_may_reach_is_timed(compute_dtype):
    assert 1e9 < estimate.expected_flops(tiny.device_mesh("cpu"), compute_dtype) < 1e14
