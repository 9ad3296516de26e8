#!/usr/bin/env bash
# Submits a run on GPU nodes to Slurm. It is queued again when it is preempted, and before its
# time is over, and goes on where it was.
#
#   bash launch/slurm.sh --nodes=2 --gpus-per-node=8 --cpus-per-task=8 [--dry_run] -- \
#     --config=configs/NAME.py --workdir=DIR [vcjax's flags]
#
#   --dry_run       print the command; vcjax's own --dry_run comes after --
#   other options   go to sbatch: --partition, --account, --time ...; a task is one GPU
#
# The checkout and the workdir lie where all nodes see them. HF_TOKEN is handed on with the rest
# of the environment.
set -euo pipefail
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

nodes="" gpus_per_node=""
read_options "nodes gpus-per-node" "$@"
require nodes gpus_per_node

# JAX under Slurm takes one process a GPU, and the process number on a node as the GPU's.
# --signal: 5 minutes before the end of its time, the run saves and leaves with exit code 75.
run sbatch --job-name=vcjax --requeue --open-mode=append --signal=TERM@300 --chdir="$PWD" \
  --nodes="$nodes" --gpus-per-node="$gpus_per_node" --ntasks-per-node="${gpus_per_node##*:}" \
  "${extra[@]}" launch/slurm_job.sh "${flags[@]}"
