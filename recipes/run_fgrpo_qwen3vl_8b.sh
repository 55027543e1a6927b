#!/usr/bin/env bash
# FGRPO for Qwen3-VL-8B: warm start if it is missing, then RL. 8 + 2 GPUs of 80 GB on two machines, in one Ray cluster
# (recipes/ray): 8 for the policy, 2 for the judge (Qwen3-VL-30B-A3B). One machine of 8 takes scale=gpus_4, which is 4 + 2.
# The same command again resumes. --plan checks and counts before a GPU is used; other arguments are Hydra overrides:
#   bash recipes/run_fgrpo_qwen3vl_8b.sh --plan
#   bash recipes/run_fgrpo_qwen3vl_8b.sh arm=grpo_t
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/run.sh
run_recipe backbone=qwen3_vl_8b dataset=fgrpo judge=qwen3_vl_30b scale=gpus_8 "$@"
