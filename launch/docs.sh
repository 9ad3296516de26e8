#!/usr/bin/env bash
# Builds the documentation into site/ and stops at a dead link. Open site/index.html.
# Arguments are passed on: bash launch/docs.sh --clean
set -euo pipefail

# shellcheck source=launch/environment.sh
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_vcjax docs

exec "$venv/bin/zensical" build --strict "$@"
