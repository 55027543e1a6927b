#!/usr/bin/env bash
# FGRPO from nothing to a table on a machine without a GPU: install, world, backbone, warm start, RL, evaluation.
# The same command again resumes; on a finished run it prints the table. Extra arguments are Hydra overrides:
#   bash recipes/run_fgrpo_tiny_cpu.sh arm=grpo_t seed=1 fgrpo.constraints.consistency.threshold=0.9
# On rows of your own, from which it makes the tokenizer, a tiny backbone and traces (docs/your_own.md):
#   bash recipes/run_fgrpo_tiny_cpu.sh dataset=own own.name=mine own.train=mine/train.parquet own.val=mine/val.parquet
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/run.sh
[ $# -gt 0 ] || echo "== to come, some 7 to 15 minutes on two cores: environment, world, backbone, warm start, 100 steps of RL, a table"
prepare_environment
run_recipe backbone=tiny dataset=miniature scale=cpu "$@"
