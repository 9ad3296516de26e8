#!/usr/bin/env bash
# Trains on TPUs of a GKE cluster: an image of this checkout, and a JobSet made by xpk, which
# starts again on preemption and exit code 75.
#
#   bash launch/gke/run.sh --workload=NAME --cluster=CLUSTER --image=REPOSITORY/vcjax \
#     --tpu-type=v5litepod-16 [--num-slices=2] [--dry_run] -- \
#     --config=configs/NAME.py --workdir=gs://BUCKET/FOLDER [vcjax's flags]
#
#   --dry_run       print the commands; vcjax's own --dry_run comes after --
#   other options   go to xpk workload create: --zone, --project, --priority, --max-restarts ...
#
# HF_TOKEN is handed on from the environment: whoever may read the cluster's JobSets can read it.
# Log and end: xpk workload list --cluster=CLUSTER; xpk workload delete --workload=NAME ...
set -euo pipefail
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

workload="" cluster="" image=""
read_options "workload cluster image" "$@"
require workload cluster image
require_bucket

image="$image:$(date -u +%Y%m%d-%H%M%S)" # a new tag: nodes keep images that they know by name
secrets=()
if [ -n "${HF_TOKEN:-}" ]; then
  echo HF_TOKEN >"$scratch/env" # the name alone: xpk takes the value from its own environment
  secrets=(--env-file="$scratch/env")
fi

run docker build --platform=linux/amd64 --file=launch/gke/Dockerfile --tag="$image" .
run docker push "$image"
# Exit codes 127 to 255 (signals) start it again without being named. One limit counts all starts.
# exec: xpk sends SIGTERM to the shell that it puts around the command.
run xpk workload create --workload="$workload" --cluster="$cluster" --docker-image="$image" \
  --restart-on-exit-codes=1,75 --max-restarts=10 --termination-grace-period-seconds=120 \
  "${extra[@]}" "${secrets[@]}" \
  --command="exec $(quoted bash launch/host.sh tpu --distributed "${flags[@]}")"
