# shellcheck shell=bash
# Sourced by host.sh. Flags for the compiler, taken from the page "XLA compiler flags" of the JAX
# documentation and from MaxText's settings for v5e, v5p and v6e. What the caller's environment
# already holds comes last and wins. The TPU's latency hiding scheduler is on by itself.

tpu_flags=(
  # No "windowed einsum": a sharded matmul as a loop of small slices that adds up through memory.
  # It doubled the compiler's cycles of a training step on v5e 4x4 (8B parameters).
  # An update asks for this itself, wherever it runs; here it is for scoring and held-out losses.
  --xla_jf_spmd_threshold_for_windowed_einsum_mib=1000000
  # 48 MB instead of 16 of the memory beside a core (VMEM) for one operation, so that large matmuls
  # have larger tiles: 8 % fewer cycles there. An update asks for it itself, too.
  --xla_tpu_scoped_vmem_limit_kib=49152
  # Weights are gathered (FSDP) while the layer before computes.
  --xla_enable_async_all_gather=true
  # Fuses such a gather with the matmuls scheduled between its start and its end,
  --xla_tpu_enable_async_collective_fusion=true
  # all-gathers too,
  --xla_tpu_enable_async_collective_fusion_fuse_all_gather=true
  # over several fusions where one is too short,
  --xla_tpu_enable_async_collective_fusion_multiple_steps=true
  # and on chips with one TensorCore (v5e, v6e).
  --xla_tpu_overlap_compute_collective_tc=true
  # Several slices: gradients are reduced over the data center network during the backward pass,
  --xla_tpu_enable_data_parallel_all_reduce_opt=true
  # also those whose sizes differ from layer to layer. It may need more memory.
  --xla_tpu_data_parallel_opt_different_sized_ops=true
)

gpu_flags=(
  # Moves collectives so that they overlap with computation. Off by itself, says JAX's page.
  --xla_gpu_enable_latency_hiding_scheduler=true
)

# set_xla_flags tpu|gpu
set_xla_flags() {
  case "$1" in
    tpu) export LIBTPU_INIT_ARGS="${tpu_flags[*]} ${LIBTPU_INIT_ARGS:-}" ;;
    gpu)
      export XLA_FLAGS="${gpu_flags[*]} ${XLA_FLAGS:-}"
      # Of a GPU's memory, what JAX may use: by default three quarters.
      export XLA_PYTHON_CLIENT_MEM_FRACTION="${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}"
      ;;
  esac
}
