#!/usr/bin/env bash
# Copied into the home of each TPU worker by tpu.sh, and called there over ssh:
#
#   install         makes the environment of the checkout that was copied beside it
#   start [FLAGS]   starts vcjax.main, detached: it outlives the connection
#   follow          shows its log to the end, leaves with its exit code
#
# Each may be called again, as gcloud does after a lost connection: it goes on where things stand.
set -euo pipefail
cd
export VCJAX_VENV="$HOME/vcjax-venv"
started=vcjax-run # of the last start: command, pid, log, code

is_running() {
  [ -f "$started/pid" ] && grep -qs launch/host.sh "/proc/$(cat "$started/pid")/cmdline"
}

install() {
  ! is_running || return 0
  exec 9>vcjax.lock
  flock 9
  rm -rf vcjax
  mkdir vcjax
  tar --extract --gzip --file=vcjax.tar.gz --directory=vcjax
  # shellcheck source=launch/environment.sh
  if ! (. vcjax/launch/environment.sh) >/dev/null 2>&1; then # the TPU's images have Python 3.10
    python3 -m pip install --quiet --user uv
    python3 -m uv python install --quiet 3.12
    PYTHON="$(python3 -m uv python find --managed-python --no-project 3.12)"
  fi
  # shellcheck source=launch/environment.sh
  . vcjax/launch/environment.sh
  install_vcjax tpu cloud
}

start() {
  local command
  printf -v command "%q " "$@"
  if is_running; then
    rm -f vcjax.env
    [ "$command" = "$(cat "$started/command")" ] && return
    echo "error: another run is going on here: $(cat "$started/command")" >&2
    exit 2
  fi
  rm -rf "$started"
  mkdir "$started"
  printf "%s" "$command" >"$started/command"
  if [ -f vcjax.env ]; then
    # shellcheck source=/dev/null
    . ./vcjax.env
    rm vcjax.env
  fi
  # shellcheck disable=SC2016  # that shell expands it
  setsid bash -c 'code=0; "${@:2}" || code=$?; echo "$code" >"$1/code"' bash "$started" \
    bash vcjax/launch/host.sh tpu --distributed "$@" >"$started/log" 2>&1 </dev/null &
  echo "$!" >"$started/pid"
}

follow() {
  tail --lines=+1 --follow --sleep-interval=0.2 --pid="$(cat "$started/pid")" "$started/log"
  exit "$(cat "$started/code" 2>/dev/null || echo 1)"
}

{ # bash reads all of a block first, and not on after it: the file may be replaced meanwhile
  case "$1" in
    install) install ;;
    start) start "${@:2}" ;;
    follow) follow ;;
  esac
  exit
}
