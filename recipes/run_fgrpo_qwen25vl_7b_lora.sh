#!/usr/bin/env bash
# FGRPO for Qwen2.5-VL-7B with a low-rank adapter: warm start if it is missing, then RL. 4 + 2 GPUs of 80 GB on one machine:
# 4 for the policy, 2 for the judge (Qwen3-VL-30B-A3B).
# The same command again resumes. --plan checks and counts before a GPU is used; other arguments are Hydra overrides:
#   bash recipes/run_fgrpo_qwen25vl_7b_lora.sh --plan
#   bash recipes/run_fgrpo_qwen25vl_7b_lora.sh arm=grpo_t
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/run.sh
run_recipe backbone=qwen2_5_vl_7b_lora dataset=fgrpo judge=qwen3_vl_30b scale=gpus_4 "$@"
