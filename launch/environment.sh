# shellcheck shell=bash
# Sourced by the scripts here. Enters the checkout, makes its virtual environment where there is
# none, and sets `python` to the interpreter in it. Then call: install_vcjax [EXTRA ...]
#
#   PYTHON=/path/to/python3.11   makes it with this Python; else with the first found from 3.11 on
#   VCJAX_VENV=.venv-3.12        makes it in this folder; else in .venv
set -euo pipefail

CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv="${VCJAX_VENV:-.venv}"
python="$venv/bin/python"
stamp="$venv/vcjax-installed" # two lines: a hash of what decides the installation; its extras

stop() {
  echo "error: $1" >&2
  exit 2
}

is_suitable() {
  "$1" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' >/dev/null 2>&1
}

version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3.14 python3 python; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    elif [ "$candidate" = "${PYTHON:-}" ]; then
      stop "PYTHON=$PYTHON does not run, or is older than Python 3.11; give another one"
    fi
  done
  stop "no Python 3.11 or newer was found; install one, or give its path: PYTHON=/path/to/python3.11"
}

make_venv() {
  local base
  base="$(find_python)"
  "$base" -c "import ensurepip, venv" 2>/dev/null ||
    stop "$base cannot make virtual environments; install its venv and ensurepip (Debian, Ubuntu: \
apt install python$(version "$base")-venv), or give another one: PYTHON=/path/to/python3.11"
  echo "making $venv with $("$base" -V)"
  "$base" -m venv --clear "$venv"
  echo "*" >"$venv/.gitignore"
}

# pip comes last: where a kill ended the making, it is not there.
venv_is_whole() {
  [ -f "$venv/pyvenv.cfg" ] && [ -x "$python" ] && [ -x "$venv/bin/pip" ]
}

# Installs the checkout (editable) with these extras and those that were asked for before, and the
# model, in the versions of launch/lock. Says and does nothing where all of it is there.
install_vcjax() {
  local key known="" extras="" missing="" extra locked=(-r launch/lock/base.txt) unlocked=""
  # A moved checkout is another one.
  key="$(cat pyproject.toml launch/environment.sh launch/lock/*.txt | cksum) $PWD"
  if [ -f "$stamp" ]; then
    { read -r known && read -r extras; } <"$stamp"
  fi
  for extra in "$@"; do
    case " $extras $missing " in
      *" $extra "*) ;;
      *) missing="${missing:+$missing }$extra" ;;
    esac
  done
  if [ "$known" = "$key" ] && [ -z "$missing" ]; then
    return
  fi
  extras="${extras:+$extras${missing:+ }}$missing"
  echo "installing into $venv: vcjax${extras:+ with extras $extras}, and the model" \
    "(the first time it downloads for some minutes)"
  for extra in $extras; do
    if [ -f "launch/lock/$extra.txt" ]; then
      locked+=(-r "launch/lock/$extra.txt")
    else
      unlocked="${unlocked:+$unlocked,}$extra"
    fi
  done
  install_locked -r launch/lock/build.txt # builds the packages that come as source code
  install_locked "${locked[@]}"
  if [[ " $extras " == *" parity "* ]]; then # a CPU build of PyTorch, where pip is shown one
    install_locked -r launch/lock/torch_cpu.txt 2>/dev/null || install_locked -r launch/lock/torch.txt
  fi
  "$python" -m pip install -qq --no-build-isolation --no-deps --editable .
  if [ -n "$unlocked" ]; then
    echo "launch/lock has no versions for $unlocked: installing the newest that fit"
    "$python" -m pip install -qq --no-build-isolation --editable ".[$unlocked]"
  fi
  printf "%s\n%s\n" "$key" "$extras" >"$stamp"
}

# The files hold all that is needed: nothing else is looked for.
install_locked() {
  "$python" -m pip install -qq --require-hashes --no-deps --no-build-isolation --use-pep517 "$@"
}

if ! venv_is_whole; then
  make_venv
elif [ -n "${PYTHON:-}" ] && [ "$(version "$PYTHON")" != "$(version "$python")" ]; then
  stop "$venv holds Python $(version "$python"), not that of PYTHON=$PYTHON; remove $venv to make it anew"
fi
