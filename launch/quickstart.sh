#!/usr/bin/env bash
# From a bare checkout to two reports: a small world in which there is something to find
# (some minutes), then the cheese experiment on a real model. Started again, it goes on.
#
#   --only=world, --only=cheese   one of the two
#
# Other arguments are passed on: bash launch/quickstart.sh --only=cheese --config.seeds=1 --workdir=runs/one-seed
set -euo pipefail

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

only=""
arguments=()
for argument in "$@"; do
  case "$argument" in
    --only=world | --only=cheese) only="${argument#--only=}" ;;
    --only | --only=*) stop "$argument: the two are --only=world and --only=cheese" ;;
    *) arguments+=("$argument") ;;
  esac
done
if [ -z "$only" ] && [[ " ${arguments[*]-} " == *" --workdir"* ]]; then
  stop "--workdir: two runs cannot have one folder; add --only=world or --only=cheese"
fi

# shellcheck disable=SC2119  # the arguments are for the runs
install_vcjax

# Memory in huge pages, where Linux leaves that to programs: an update takes 4 % less on two cores.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"

# main CONFIG WORKDIR: the command's words in `run`.
main() {
  run=("$python" -m vcjax.main --config="configs/$1" --workdir="runs/$2" \
    ${arguments[@]+"${arguments[@]}"})
}

main world.py:quickstart world-quickstart
if [ "$only" = world ]; then
  exec "${run[@]}"
elif [ -z "$only" ]; then
  # A process group of its own, to which this script passes signals on: a run saves at SIGTERM.
  set -m
  "${run[@]}" &
  child=$!
  trap 'signalled=1; kill -TERM "$child"' TERM
  trap 'signalled=1; kill -INT "$child"' INT
  signalled=1
  while [ -n "$signalled" ]; do # a signal cuts a wait short
    signalled=""
    wait "$child" && status=0 || status=$?
  done
  trap - TERM INT
  [ "$status" = 0 ] || exit "$status"
fi
main quickstart.py quickstart
exec "${run[@]}"
