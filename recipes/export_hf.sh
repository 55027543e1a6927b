#!/usr/bin/env bash
# A checkpoint as a Hugging Face folder with processor, chat template and model card, ready for `vllm serve`:
#   bash recipes/export_hf.sh runs/fgrpo_qwen2_5_vl_7b-s0 my-model                         # the last checkpoint
#   bash recipes/export_hf.sh runs/fgrpo_qwen2_5_vl_7b-s0/checkpoints/global_step_500 my-model
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
use_environment
cd "$here"
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error
exec fgrpo export "$@"
