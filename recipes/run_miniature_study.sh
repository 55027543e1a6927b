#!/usr/bin/env bash
# The paper's finding in miniature: eight arms, three seeds, one warm start a seed; then recipes/results/miniature.md.
# The same command again goes on where it stopped, and keeps what is finished. Each run leaves its numbers and curves in
# recipes/results/miniature/ARM-sSEED.json, in the place of an earlier one; the page is of all files that lie there.
# A run took 19 minutes on two cores of 2026, 30 to 50 on slower ones or beside other work.
#   bash recipes/run_miniature_study.sh --quick                       # two arms, one seed, 60 steps: 20 to 35 minutes
#   bash recipes/run_miniature_study.sh --arms all --seeds 0,1,2,3,4  # with held-out types, other starts, a long run
#   bash recipes/run_miniature_study.sh --world four_way              # four options; a folder and a page of their own
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
source recipes/setup/ray.sh
prepare_environment
# As scale=cpu wants it (recipes/setup/run.sh).
export VERL_PLATFORM=cpu HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
export TOKENIZERS_PARALLELISM=false VERL_LOGGING_LEVEL=WARNING TRANSFORMERS_VERBOSITY=error
case " $* " in
  *" --page-only "* | *" --help "*) ;; # no run, no Ray
  *) start_ray --num-cpus=8 --num-gpus=1 ;;
esac
fgrpo study run "$@"
