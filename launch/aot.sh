#!/usr/bin/env bash
# What a config's steps take of a TPU slice, compiled here without one. Arguments are passed on:
# bash launch/aot.sh --config=configs/study_cheese_llama31_8b.py --topology=v5e:4x4
set -euo pipefail

# With libtpu installed JAX would look for a TPU in every run: it has an environment of its own.
export VCJAX_VENV="${VCJAX_VENV:-.venv-tpu}"

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_vcjax tpu

# The compiler's flags of a run on TPUs.
# shellcheck source=launch/xla_flags.sh
. launch/xla_flags.sh
set_xla_flags tpu

exec "$python" -m vcjax.aot "$@"
