# shellcheck shell=bash
# Sourced by tpu_vm.sh and tpu_queued.sh: gets a TPU, runs vcjax on all its workers, deletes it.
# They say in which group of gcloud their resource is, what is ready, and how it is made:
#
#   group         gcloud's commands             all        the flags that name all workers
#   state_field   where `list` has the state    ready      the state in which workers can be used
#   make          array: the command that makes it         unmake    the one that deletes it
# shellcheck disable=SC2154
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

name="" zone="" project="" keep="" delete=""
created=""
state=""
place=()

read_tpu_options() {
  read_options "name zone project keep delete" "$@"
  require name zone
  require_bucket
  [ -z "$keep" ] || [ -z "$delete" ] || stop "--keep and --delete: give one of them"
  place=(--zone="$zone" ${project:+--project="$project"} --quiet)
}

# Sets `state`; empty where there is no such TPU, or in a dry run.
look() {
  local command=(gcloud "${group[@]}" list "${place[@]}" --filter="name~/$name\$"
    --format="value($state_field)")
  if [ -n "$dry_run" ]; then
    quoted "${command[@]}"
  else
    state="$("${command[@]}")"
  fi
}

acquire() {
  local said=""
  while true; do
    look || return
    case "$state" in
      "$ready") return ;;
      "")
        created=yes # said before it is made: a half-made one is deleted too
        attend "${make[@]}" || return
        [ -z "$dry_run" ] || return 0
        ;;
      PREEMPTED | TERMINATED | SUSPENDED)
        say "$name is $state: deleting it for a new one"
        attend "${unmake[@]}" || return
        ;;
      STOPPED) attend gcloud "${group[@]}" start "$name" "${place[@]}" || return ;;
      FAILED) say "$name: the request failed; gcloud ${group[*]} describe says why" && return 2 ;;
      *)
        [ "$state" = "$said" ] || say "$name is $state: waiting"
        said="$state"
        attend sleep 30 || return
        ;;
    esac
  done
}

# on_workers COMMAND...: tpu_worker.sh COMMAND... on each of them.
on_workers() {
  attend gcloud "${group[@]}" ssh "$name" "${place[@]}" "${all[@]}" \
    --command="bash tpu_worker.sh $(quoted "$@")"
}

work() {
  attend gcloud "${group[@]}" scp "$scratch/vcjax.tar.gz" "$scratch/vcjax.env" \
    launch/tpu_worker.sh "$name:" "${place[@]}" "${all[@]}" &&
    on_workers install && on_workers start "${flags[@]}" && on_workers follow
}

attempt() {
  local code=0
  acquire || return
  work || code=$?
  case "$code" in
    0 | 2 | 75) ;;
    *)
      if look && [ "$state" != "$ready" ]; then # it did not crash, its machine went away
        say "$name is ${state:-gone}"
        code=75
      fi
      ;;
  esac
  return "$code"
}

# shellcheck disable=SC2329  # a trap calls it
finish() {
  local code=$?
  trap '' HUP INT TERM # a second Ctrl-C does not stop the deletion
  signal=""
  rm -rf "$scratch"
  if [ -n "$delete" ] || { [ -n "$created" ] && [ -z "$keep" ]; }; then
    if [ -n "$dry_run" ] || ! look || [ -n "$state" ]; then
      say "deleting $name"
      attend "${unmake[@]}" || say "$name may be there still, and cost: $(quoted "${unmake[@]}")"
    fi
  elif [ -n "$created$state" ]; then
    say "$name is kept, and costs; this deletes it: $(quoted "${unmake[@]}")"
  fi
  exit "$code"
}

train_on_tpu() {
  trap finish EXIT
  run tar --create --gzip --file="$scratch/vcjax.tar.gz" --exclude=./.git/config \
    --exclude="./.venv*" --exclude=./runs --exclude=./site --exclude=./.cache --exclude=__pycache__ --exclude="*.egg-info" .
  if [ -z "$dry_run" ]; then # the token goes in a file: a command line can be seen by others
    (umask 077 && echo "${HF_TOKEN:+export HF_TOKEN=$(quoted "${HF_TOKEN:-}")}" >"$scratch/vcjax.env")
  fi
  until_done attempt
}
