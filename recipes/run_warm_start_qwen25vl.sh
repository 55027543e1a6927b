#!/usr/bin/env bash
# The supervised warm start alone, with verl's SFT trainer on 4 GPUs; the RL recipes run it when it is missing.
#   bash recipes/run_warm_start_qwen25vl.sh                          # 7B
#   bash recipes/run_warm_start_qwen25vl.sh backbone=qwen2_5_vl_3b
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
use_environment
fgrpo stages --alone backbone=qwen2_5_vl_7b dataset=fgrpo scale=gpus_4 '~judge' "$@"
