#!/usr/bin/env bash
# Remakes the lock files in launch/lock: the versions that environment.sh installs, with hashes. One
# resolution for all platforms and for Python 3.11 and newer. Once a month, and when the requirements
# in pyproject.toml change:
#
#   bash launch/lock.sh && bash .ci/run
#   bash launch/quickstart.sh --workdir=runs/lock
#
# Then compare runs/lock/report with a run from before, on the same machine. Where the numbers differ,
# the arithmetic has changed with a package: raise NUMERICS in vcjax/__init__.py.
set -euo pipefail

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Not locked: gpu, for JAX and PyTorch ask for different versions of the same CUDA libraries.
extras=(cloud parity test tpu)
# For Linux the index has CUDA builds of PyTorch alone. pip prefers a CPU build where it knows one,
# as by PIP_FIND_LINKS. This is the one for Python 3.11 on x86_64.
torch="torch==2.13.0"
torch_cpu="sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
grep -q "\"$torch\"" pyproject.toml || stop "launch/lock.sh: give the hash of the CPU build of PyTorch that pyproject.toml asks for"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/uv"
"$scratch/uv/bin/python" -m pip install -qq "uv>=0.9"

# compile NAME ARGUMENTS...: what satisfies these requirements goes into $scratch/NAME.txt.
compile() {
  "$scratch/uv/bin/uv" pip compile --quiet --universal --python-version=3.11 --generate-hashes \
    --no-header --no-annotate --output-file="$scratch/$1.txt" "${@:2}" >/dev/null
}

# packages CONDITION FILES...: the packages of the last file for which this condition of awk holds,
# and their hashes. `known` has the packages of the files before.
packages() {
  awk "FILENAME != ARGV[ARGC - 1] { known[\$0]; next } /^[^ ]/ { wanted = ($1) } wanted" "${@:2}"
}

# keep NAME: standard input becomes launch/lock/NAME.txt.
keep() {
  { echo "# Made by launch/lock.sh"; cat; } >"launch/lock/$1.txt"
}

"$python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
' >"$scratch/build.in"
echo "$model" >"$scratch/model.in"

# All of it at once, then what each part of it needs, in the same versions.
compile all pyproject.toml "$scratch/build.in" "${extras[@]/#/--extra=}"
mkdir -p launch/lock
compile build "$scratch/build.in" --constraint="$scratch/all.txt"
keep build <"$scratch/build.txt"
compile model "$scratch/model.in" --no-deps
compile base pyproject.toml --constraint="$scratch/all.txt"
cat "$scratch/base.txt" "$scratch/model.txt" | keep base
for extra in "${extras[@]}"; do
  compile "$extra" pyproject.toml --extra="$extra" --constraint="$scratch/all.txt"
  packages '!($0 in known)' "$scratch/base.txt" "$scratch/$extra.txt" >"$scratch/more.txt"
  cuda='/^(cuda|nvidia)-|^triton=/'
  packages "!($cuda)" "$scratch/more.txt" |
    sed "s/^$torch .*/&\n    --hash=$torch_cpu \\\\/" | keep "$extra"
  packages "$cuda" "$scratch/more.txt" >"$scratch/cuda_$extra.txt"
done
keep cuda <"$scratch/cuda_parity.txt"
