#!/usr/bin/env bash
# Trains on the GPUs of this node, or of several nodes; starts again after an interruption.
#
#   bash launch/gpu.sh [--dry_run] -- --config=configs/NAME.py --workdir=DIR [vcjax's flags]
#
# Several nodes: the same on each, with a workdir that all of them see, and
#   --coordinator=HOST:PORT   the first node, and a free port on it
#   --nodes=N                 how many there are
#   --node=I                  which one this is, from 0
#
# --dry_run prints the commands. vcjax's own --dry_run comes after --.
set -euo pipefail
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

coordinator="" nodes="" node=""
read_options "coordinator nodes node" "$@"
[ ${#extra[@]} = 0 ] || stop "${extra[0]}: unknown; --help lists the options"

command=(bash launch/host.sh gpu)
if [ -n "$coordinator$nodes$node" ]; then
  require coordinator nodes node
  # One process a node, with all its GPUs. JAX reads these three.
  command=(env "JAX_COORDINATOR_ADDRESS=$coordinator" "JAX_NUM_PROCESSES=$nodes"
    "JAX_PROCESS_ID=$node" "${command[@]}" --distributed)
fi
until_done attend "${command[@]}" "${flags[@]}"
