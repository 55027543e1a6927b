#!/usr/bin/env bash
# Install, lint, types, all tests. Extra arguments go to pytest: bash tests/run.sh tests/unit -k advantage
# With --gpu-path before them: what users of GPUs run, on vLLM's CPU build, and nothing else (tests/gpu_path).
# With --robustness before them: faults injected for real, an hour or two of them, each alone by its name (tests/robustness).
# With --performance before them: benchmarks, alone on the machine; they write docs/performance.md.
# With --trl before them: a training with TRL, in an environment of its own, and nothing else (tests/library).
# With --easyr1 CHECKOUT before them: trainings in EasyR1's trainer, and nothing else (tests/easyr1).
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=1
export RAY_worker_niceness=0 # Ray's workers would wait for the other tests
prepare_environment data dev
if [ "${1:-}" = --gpu-path ]; then
  prepare_gpu_path
  # GiB for keys and values, half of the machine's memory otherwise; no word home, and no compiled kernels in it.
  export VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 VLLM_CACHE_ROOT=$PWD/.venv-vllm/cache
  exec python -m pytest --durations=0 --gpu-path tests/gpu_path "${@:2}"
fi
if [ "${1:-}" = --trl ]; then
  prepare_trl
  exec python -m pytest tests/library "${@:2}"
fi
if [ "${1:-}" = --robustness ]; then
  # A mount namespace of its own: one unit makes a small disk, and nobody else sees it.
  alone=(unshare --user --map-root-user --mount)
  "${alone[@]}" true 2>/dev/null || alone=()
  PYTHONPATH=tests exec "${alone[@]}" python -m robustness "${@:2}"
fi
if [ "${1:-}" = --performance ]; then
  exec python -m pytest --benchmark-only --performance "${@:2}"
fi
if [ "${1:-}" = --easyr1 ]; then
  checkout=$(realpath "${2:?--easyr1 needs a checkout: git clone https://github.com/hiyouga/EasyR1, git checkout b44b311}")
  prepare_easyr1
  exec python -m pytest --durations=0 --easyr1 "$checkout" tests/easyr1 "${@:3}"
fi
# The warm start's LLaMA-Factory recipe is checked against its argument classes; nothing of it is run here.
[ -d .venv/llamafactory/llamafactory-0.9.5.dist-info ] ||
  uv_install --target .venv/llamafactory llamafactory==0.9.5
ruff check .
ruff format --check .
mypy
shellcheck --shell=bash --external-sources --exclude=SC2119,SC2120 recipes/*.sh recipes/*/*.sh tests/*.sh tests/*/*.sh
# Two at a time, whole files: which stay together and which come last is in tests/conftest.py.
python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder "$@"
