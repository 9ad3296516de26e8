#!/usr/bin/env bash
# What runs on each host: bash launch/host.sh tpu|gpu [flags of vcjax.main]
set -euo pipefail

device="$1"
shift
# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# shellcheck source=launch/xla_flags.sh
. launch/xla_flags.sh
install_vcjax "$device"
set_xla_flags "$device"

exec "$python" -m vcjax.main "$@" # exec: signals reach it, its exit code is this one
