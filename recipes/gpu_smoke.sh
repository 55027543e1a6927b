#!/usr/bin/env bash
# What to run first on a machine with a GPU of 16 GB or more, offline once installed; 5 to 15 minutes. The card and the
# packages, log-probs under flash-attn and under PyTorch's attention, three steps of the miniature with vLLM's rollouts, which
# the canary compares with the trainer's, memory and seconds. The last line is `GPU path: ok`, or what is wrong and what to
# type. Without flash_attn or vllm the rest is tried, with PyTorch's attention or our own generator, before that line.
#   bash recipes/gpu_smoke.sh
#   bash recipes/gpu_smoke.sh scale=cpu       # the same on a machine without a GPU
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/run.sh

has() { python -c "import importlib.util as i, sys; sys.exit(i.find_spec('$1') is None)"; }

if [[ " $* " != *" scale=cpu "* ]] && ! has_gpu; then
  echo "error: no GPU: nvidia-smi lists none here; what needs none: bash recipes/gpu_smoke.sh scale=cpu" >&2
  exit 1
fi
use_environment
export HF_HUB_OFFLINE=1
out=runs/gpu_smoke-$(date +%Y%m%d-%H%M%S)
run=(backbone=tiny dataset=miniature judge=oracle scale=gpus_1 '~evaluation' trainer.total_training_steps=3
  fgrpo.run_dir="$out")
if [[ " $* " != *" scale=cpu "* ]]; then
  has flash_attn || run+=(+actor_rollout_ref.model.override_config.attn_implementation=sdpa
    actor_rollout_ref.model.use_remove_padding=false)
  has vllm || run+=(actor_rollout_ref.rollout.{name=transformers_cpu,dtype=float32,free_cache_engine=false})
fi
run+=("$@")
fgrpo smoke machine "${run[@]}"
mkdir -p "$out"
echo "policy: the miniature's warm start, minutes if it is to be made ($out/stages.log)"
fgrpo stages "${run[@]}" >"$out/stages.log" 2>&1 || { tail -n 1 "$out/stages.log" >&2 && exit 1; }
fgrpo smoke attention "${run[@]}"
run_recipe "${run[@]}"
fgrpo smoke report "${run[@]}"
