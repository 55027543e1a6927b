#!/usr/bin/env bash
# FGRPO from nothing to a table on a machine without a GPU: install, world, backbone, warm start, RL, evaluation.
# The same command again resumes; on a finished run it prints the table. Extra arguments are Hydra overrides:
#   bash recipes/run_fgrpo_tiny_cpu.sh arm=grpo_t seed=1 fgrpo.constraints.consistency.threshold=0.9
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
source recipes/setup/ray.sh
# One thread a process: the stages are too small for two, and threads that wait for each other crawl on a busy machine.
export VERL_PLATFORM=cpu HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1
export VERL_LOGGING_LEVEL=WARNING TRANSFORMERS_VERBOSITY=error

prepare_environment
python -m easyr1_fgrpo.stages "$@"
start_ray 8 1
python -m reward_servers.launch "$@"
python -m easyr1_fgrpo.train "$@"
python -m easyr1_fgrpo.summary "$@"
