#!/usr/bin/env bash
# The tiny recipe's training alone, its stages being there: no table, so nobody else asks the judges.
set -euo pipefail
cd "$(dirname "$0")/../.."
source recipes/setup/environment.sh
source recipes/setup/ray.sh
export VERL_PLATFORM=cpu HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1
prepare_environment
start_ray --num-cpus=8 --num-gpus=1
launch_judges "$@"
fgrpo train "$@"
