#!/usr/bin/env bash
# The batch script that slurm.sh submits; runs on the first node, in the checkout.
set -euo pipefail
# shellcheck source=launch/common.sh
. launch/common.sh
# shellcheck source=launch/environment.sh
. launch/environment.sh
install_vcjax gpu # once, before all processes look for it

# Processes that lose another one end by themselves, those that are interrupted need a moment to
# save: the first one that leaves must not take the others with it at once. srun does not take
# --cpus-per-task over from sbatch by itself.
step() {
  local code=0
  attend srun --kill-on-bad-exit=0 --wait=300 \
    ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} \
    bash launch/host.sh gpu --distributed "$@" || code=$?
  if [ "$code" = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 75
  fi
  return "$code"
}
until_done step "$@"
