#!/usr/bin/env bash
# Install, lint, types, all tests. Extra arguments go to pytest: bash tests/run.sh tests/unit -k advantage
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
prepare_environment
ruff check .
ruff format --check .
mypy
for script in recipes/*.sh recipes/setup/*.sh tests/*.sh tests/integration/*.sh; do bash -n "$script"; done
python -m pytest "$@"
