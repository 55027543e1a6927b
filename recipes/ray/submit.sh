#!/usr/bin/env bash
# Send a recipe to a Ray cluster as one job, judges and trainer together; its log and exit code come back:
#   RAY_API_SERVER_ADDRESS=http://HEAD:8265 FGRPO_RUNS=/shared/runs \
#     bash recipes/ray/submit.sh recipes/run_fgrpo_qwen25vl_7b.sh [OVERRIDES ...]
# FGRPO_RUNS: a folder that every node sees under this path; runs, and what they start from, lie there.
# NO_WAIT=1: do not follow the log. RAY_AUTH_MODE=token and RAY_AUTH_TOKEN: for a cluster with a token.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "error: $1" >&2
  exit 1
}

[ $# -ge 1 ] || fail "usage: bash recipes/ray/submit.sh RECIPE [OVERRIDES ...]"
recipe=$1
shift
[ -f "$recipe" ] || fail "$recipe: no such recipe; give its path in the checkout, like recipes/run_fgrpo_tiny_cpu.sh"
[ -n "${RAY_API_SERVER_ADDRESS:-}" ] || fail "RAY_API_SERVER_ADDRESS is not set: give the dashboard, like http://HEAD:8265"
[[ ${FGRPO_RUNS:-} == /* ]] || fail "FGRPO_RUNS=${FGRPO_RUNS:-}: give an absolute path that every node of the cluster sees"

# Ray hands the command to a shell in one line. Every override is quoted for that shell; Ray itself takes spaces and double
# quotes for its own.
command=(bash "$recipe")
for override in "fgrpo.run_dir=$FGRPO_RUNS/\${trainer.experiment_name}-s\${seed}" "$@"; do
  [[ $override != *[[:space:]\"]* ]] || fail "$override: write it without spaces and with single quotes"
  command+=("$(printf '%q' "$override")")
done
exec ray job submit --runtime-env recipes/ray/runtime_env.yaml ${NO_WAIT:+--no-wait} -- "${command[@]}"
