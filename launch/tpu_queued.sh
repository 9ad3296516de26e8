#!/usr/bin/env bash
# Trains on a queued TPU, of one slice or several: asks for it, waits, runs as tpu_vm.sh does.
# When it is preempted, asks again, and goes on in the same workdir. Deletes it in the end.
#
#   bash launch/tpu_queued.sh --name=NAME --zone=ZONE --accelerator-type=v5litepod-16 \
#     --runtime-version=v2-alpha-tpuv5-lite --spot [--dry_run] -- \
#     --config=configs/NAME.py --workdir=gs://BUCKET/FOLDER [vcjax's flags]
#
#   --node-count=N      N slices
#   --project=PROJECT   else gcloud's
#   --keep              do not delete what was asked for here; the run goes on after Ctrl-C,
#                       and the same command shows its log again
#   --delete            delete it, though it was there before
#   --dry_run           print the commands; vcjax's own --dry_run comes after --
#   other options       go to gcloud compute tpus queued-resources create
#
# HF_TOKEN is handed on from the environment. gcloud wants its ssh key in the agent:
# ssh-add ~/.ssh/google_compute_engine
set -euo pipefail
# shellcheck source=launch/tpu.sh
. "$(dirname "${BASH_SOURCE[0]}")/tpu.sh"

read_tpu_options "$@"
group=(compute tpus queued-resources)
all=(--worker=all --node=all)
state_field=state.state
ready=ACTIVE
case " ${extra[*]} " in
  *" --node-count="*) nodes=(--node-prefix="$name") ;;
  *) nodes=(--node-id="$name") ;;
esac
make=(gcloud "${group[@]}" create "$name" "${place[@]}" "${nodes[@]}" "${extra[@]}")
unmake=(gcloud "${group[@]}" delete "$name" "${place[@]}" --force) # its nodes too
train_on_tpu
