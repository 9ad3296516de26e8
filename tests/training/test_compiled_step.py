"""The update as one compiled program: what it takes over, and that GPUs get one on every mesh."""

import dataclasses
import importlib.util
import math

import jax
import numpy as np
import pytest
import tiny
from jax._src.cudnn import fused_attention_stablehlo as cudnn
from jax.experimental import topologies

from vcjax import config, sharding
from vcjax.models.architecture import known_architecture
from vcjax.topology import step
from vcjax.training import compiled_step, loaded_model

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def test_a_state_takes_the_parameters_over(tiny_weights):
    """All weights, in float32, may not fit twice."""
    recipe, model = config.recipe(train="full"), tiny.model()
    mesh = sharding.make_mesh(dict(replica=1, fsdp=-1, tensor=1, sequence=1))
    params = jax.tree.map(np.asarray, tiny_weights)
    placed = jax.device_put(params, compiled_step.param_shardings(params, model, mesh))
    init, _ = compiled_step.init_and_update(recipe, model, mesh)
    state = init(placed)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(placed))
    jax.tree.map(np.testing.assert_array_equal, state.params, params)


def test_stages_that_differ_in_rate_alone_share_their_programs():
    model, mesh = tiny.model(), sharding.make_mesh(config.experiment().mesh.to_dict())

    def programs(**settings):
        recipe = config.recipe(train="full", **settings)
        return compiled_step.init_and_update(recipe, model, mesh)

    assert programs(lr=1e-4, epochs=2, warmup=0.5) is programs(lr=1e-3)
    assert programs(clip=0.5) is not programs(clip=1.0)


@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="the compiler for GPUs is not installed (extra `gpu`); it needs no GPU",
)
@pytest.mark.parametrize(
    ("train", "remat", "sizes"),
    [
        ("lora", "dots", (1, 1, 1, 1)),
        ("full", "attended", (1, 8, 1, 1)),
        ("lora", "offload", (2, 4, 1, 1)),
        ("lora", "dots", (1, 4, 2, 1)),
        ("full", "attended", (1, 2, 2, 2)),
        ("lora", "full", (1, 1, 1, 8)),
    ],
)
def test_it_compiles_for_gpus_that_are_not_here(train, remat, sizes, monkeypatch):
    """Two layers of Llama-3.1-8B, for H100s; with attention that knows the rows' documents."""
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda needed: True)
    count = math.prod(sizes)
    described = topologies.get_topology_desc(
        platform="cuda", target_config=H100, topology=f"1x1x{count}"
    )
    mesh = sharding.make_mesh(dict(zip(sharding.MESH_AXES, sizes, strict=True)), described.devices)
    recipe = config.recipe(train=train, length=2048, batch_tokens=2048 * count)
    settings = config.experiment(recipe=recipe, compute_dtype="bfloat16", remat=remat)
    architecture = dataclasses.replace(known_architecture("meta-llama/Llama-3.1-8B"), num_layers=2)
    model = loaded_model.make_model(settings, architecture, mesh, recipe)
    assert model.attention == "packed"
    dtype = loaded_model.weight_dtype(model)
    compiled = step.lower(recipe, model, dtype, mesh, max_documents=16).compile()
    assert "__cudnn$fmhaSoftmaxBackward" in compiled.as_text()
    arguments = compiled.memory_analysis().argument_size_in_bytes
    per_weight = 12 if train == "full" else 2  # bytes; adapters beside them
    share = arguments / (per_weight * architecture.num_params() / (sizes[1] * sizes[2]))
    assert 0.7 < share < 1.3  # the head lies in more pieces than the rest
