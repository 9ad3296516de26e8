# shellcheck shell=bash
# Sourced by the launchers. Their exit codes, and those of vcjax: 0 finished; 2 an error that the
# user can put right, the same command would meet it again; 75 interrupted and saved, the same
# command goes on.
set -euo pipefail
script="$(realpath "$0")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

max_crashes=3 # how often a run is started again after another exit code
dry_run=""
extra=() # options for the tool that is called
flags=() # for vcjax.main
scratch="$(mktemp -d)"
child=""
starting="" # yes while a command is started: it may run already, and `child` not yet say so
signal=""
trap 'rm -rf "$scratch"' EXIT

stop() {
  echo "error: $1" >&2
  exit 2
}

# The comment at the top of the script.
usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"
  exit 0
}

# read_options "NAMES" "$@": --name=value becomes $name for each of NAMES, other options go into
# `extra`, and what follows -- into `flags`.
read_options() {
  local known=" $1 " key
  shift
  while [ $# -gt 0 ]; do
    key="${1%%=*}"
    case "$1" in
      --) flags=("${@:2}") && return ;;
      --help | -h) usage ;;
      --dry_run) dry_run=yes ;;
      --config* | --workdir*) stop "$key: vcjax's own flags come after --" ;;
      --*)
        if [[ "$known" != *" ${key#--} "* ]]; then
          extra+=("$1")
        elif [[ "$1" == *=* ]]; then
          printf -v "$(variable "$key")" "%s" "${1#*=}"
        else
          printf -v "$(variable "$key")" "yes"
        fi
        ;;
      *) stop "$1: options have the form --name=value" ;;
    esac
    shift
  done
  stop "give vcjax's flags after --: -- --config=configs/NAME.py --workdir=DIR"
}

# --gpus-per-node -> gpus_per_node
variable() {
  local name="${1#--}"
  echo "${name//-/_}"
}

# require NAMES...: options without which there is nothing to do.
require() {
  local required
  for required in "$@"; do
    [ -n "${!required}" ] || stop "give --${required//_/-}=...; --help says what it is"
  done
}

# Machines that go away cannot keep a run.
require_bucket() {
  [[ " ${flags[*]} " == *" --workdir=gs://"* ]] ||
    stop "the machine is deleted in the end: give --workdir=gs://BUCKET/FOLDER after --"
}

say() {
  echo "$(basename "$0"): $1" >&2
}

# The words as a shell reads them.
quoted() {
  local word words=()
  for word in "$@"; do
    [[ "$word" =~ ^[A-Za-z0-9_.,:=/@%+-]+$ ]] || word="${word@Q}"
    words+=("$word")
  done
  echo "${words[*]}"
}

# run COMMAND...: in a dry run, prints it instead.
run() {
  if [ -n "$dry_run" ]; then
    quoted "$@"
  else
    "$@"
  fi
}

# attend COMMAND...: runs it in a process group of its own. A signal to this script is passed on
# to all of that group; the script then leaves with the command's exit code.
attend() {
  local code=0
  if [ -n "$dry_run" ]; then
    quoted "$@"
    return
  fi
  starting=yes
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  starting=""
  if [ -n "$signal" ]; then
    sleep 0.2 # a shell that was just forked still has our traps, and would lose the signal
    pass_on
  fi
  # A signal ends a wait and not the command; how that ended, bash remembers.
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  wait "$child" || code=$?
  child=""
  [ -z "$signal" ] || exit "$code"
  return "$code"
}

pass_on() {
  kill -TERM -- "-$child" 2>/dev/null || true
}

# shellcheck disable=SC2329  # the traps below call it
interrupt() {
  signal="$1"
  if [ -n "$starting" ]; then
    return # attend passes it on
  elif [ -n "$child" ]; then
    pass_on
  else
    exit "$2"
  fi
}
trap 'interrupt HUP 129' HUP
trap 'interrupt INT 130' INT
trap 'interrupt TERM 143' TERM

# until_done COMMAND...: runs it again when it was interrupted, and a few times when it crashed.
until_done() {
  local code crashes=0
  while true; do
    code=0
    "$@" || code=$?
    case "$code" in
      0 | 2) return "$code" ;;
      75) say "interrupted and saved: the same command again" ;;
      *)
        crashes=$((crashes + 1))
        if [ "$crashes" -gt "$max_crashes" ]; then
          say "exit code $code after $max_crashes new starts: giving up"
          return "$code"
        fi
        say "exit code $code: new start $crashes of $max_crashes"
        ;;
    esac
    attend sleep 10
  done
}
