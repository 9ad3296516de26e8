"""Where nothing is sharded; on several devices, `tests/test_sharding.py`."""

import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from vcjax.models import collectives


@pytest.mark.parametrize(
    "collective", [collectives.gather, collectives.add, collectives.add_and_scatter]
)
def test_over_no_axes_an_array_is_left_alone(collective):
    x = jnp.ones((2, 3))
    assert collective(x, ()) is x


def test_a_function_of_whole_arrays_needs_no_shard_map():
    def function(x, y):
        return x + y

    assert collectives.on_each_device(function, ((P(None, ()),), P()), P()) is function
    assert collectives.on_each_device(function, ((P(None, "fsdp"),), P()), P()) is not function
