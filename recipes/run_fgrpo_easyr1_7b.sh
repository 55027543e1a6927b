#!/usr/bin/env bash
# FGRPO for Qwen2.5-VL-7B in EasyR1's own trainer, on 8 GPUs of 80 GB, from a checkpoint that is warm already. Needs an
# environment with EasyR1 (docs/easyr1.md); without it, it says how to get one. The judge is served elsewhere:
#   bash recipes/run_fgrpo_easyr1_7b.sh 'judge_endpoint.base_urls=[http://HOST:8000/v1]'
# The same command again resumes; --plan among the arguments checks and starts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/easyr1.sh
run_on_easyr1 worker.actor.model.model_path=runs/warm_start-qwen2_5_vl_7b trainer.experiment_name=fgrpo_easyr1_7b "$@"
