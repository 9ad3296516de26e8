#!/usr/bin/env bash
# Trains on a TPU VM: makes it or takes the one of this name, installs this checkout, runs the
# same command on all workers, shows the log, deletes the TPU in the end.
#
#   bash launch/tpu_vm.sh --name=NAME --zone=ZONE --accelerator-type=v5litepod-16 \
#     --version=v2-alpha-tpuv5-lite [--dry_run] -- \
#     --config=configs/NAME.py --workdir=gs://BUCKET/FOLDER [vcjax's flags]
#
#   --project=PROJECT   else gcloud's
#   --keep              do not delete the TPU that was made here; the run goes on after Ctrl-C,
#                       and the same command shows its log again
#   --delete            delete it, though it was there before
#   --dry_run           print the commands; vcjax's own --dry_run comes after --
#   other options       go to gcloud compute tpus tpu-vm create
#
# HF_TOKEN is handed on from the environment. gcloud wants its ssh key in the agent:
# ssh-add ~/.ssh/google_compute_engine
set -euo pipefail
# shellcheck source=launch/tpu.sh
. "$(dirname "${BASH_SOURCE[0]}")/tpu.sh"

read_tpu_options "$@"
group=(compute tpus tpu-vm)
all=(--worker=all)
state_field=state
ready=READY
make=(gcloud "${group[@]}" create "$name" "${place[@]}" "${extra[@]}")
unmake=(gcloud "${group[@]}" delete "$name" "${place[@]}")
train_on_tpu
