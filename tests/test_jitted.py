"""The update as one compiled program: what it takes over."""

import jax
import numpy as np
import tiny

from vcjax import config, jitted, sharding


def test_a_state_takes_the_parameters_over(tiny_weights):
    """All weights, in float32, may not fit twice."""
    recipe, model = config.recipe(train="full"), tiny.model()
    mesh = sharding.make_mesh(dict(replica=1, fsdp=-1, tensor=1, sequence=1))
    params = jax.tree.map(np.asarray, tiny_weights)
    placed = jax.device_put(params, jitted.param_shardings(params, model, mesh))
    init, _ = jitted.init_and_update(recipe, placed, model, mesh)
    state = init(placed)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(placed))
    jax.tree.map(np.testing.assert_array_equal, state.params, params)
