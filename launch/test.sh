#!/usr/bin/env bash
# All tests. Arguments are passed on: bash launch/test.sh tests/data -k packing
set -euo pipefail

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
if [ "$(version "$python")" = 3.11 ]; then
  install_vcjax test parity # comparisons with PyTorch, whose pin is made for this version
else
  install_vcjax test
fi

exec "$python" -m pytest -n 2 --dist worksteal "$@"
