#!/usr/bin/env bash
# The supervised warm start with LLaMA-Factory, in an environment of its own (.venv-llamafactory):
#   bash recipes/run_warm_start_llamafactory.sh 7b data/fgrpo/traces/sft [KEY=VALUE ...]
# 7b or 3b: recipes/warm_start/llamafactory_qwen25vl_*.yaml. Then a folder with dataset_info.json, as
# `fgrpo data mcts` writes it. KEY=VALUE: LLaMA-Factory's arguments, for example output_dir=runs/mine.
# GPUS=4 is the paper's; with 1, 2, 4 or 8 of them the batch stays 32. The same command resumes. RL starts from the
# output folder (stages.warm_start).
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "error: $1" >&2
  exit 1
}

[ $# -ge 2 ] || fail "usage: bash recipes/run_warm_start_llamafactory.sh 7b|3b DATA [KEY=VALUE ...]"
size=$1 data=$2 gpus=${GPUS:-4}
shift 2
config=recipes/warm_start/llamafactory_qwen25vl_$size.yaml
[ -f "$config" ] || fail "size $size: there is no $config, take 7b or 3b"
[ -f "$data/dataset_info.json" ] || fail "$data: no dataset_info.json there; \`fgrpo data mcts\` makes such a folder"
case $gpus in
  1 | 2 | 4 | 8) ;;
  *) fail "GPUS=$gpus: take 1, 2, 4 or 8, so that GPUS x 4 x accumulation is 32" ;;
esac

if [ ! -f .venv-llamafactory/.installed ] ||
  ! cmp -s recipes/warm_start/requirements.txt .venv-llamafactory/.installed; then
  echo "== installing LLaMA-Factory into .venv-llamafactory"
  source recipes/setup/environment.sh
  python=$(find_python)
  [ -x .venv-llamafactory/bin/python ] || "$python" -m venv .venv-llamafactory
  .venv-llamafactory/bin/python -m pip install --quiet --requirement <(grep -v '^flash-attn==' recipes/warm_start/requirements.txt)
  # It builds against the torch that is there already.
  echo "== installing flash-attn: it compiles for up to an hour, unless a wheel for this torch and CUDA was installed there" \
    "(https://github.com/Dao-AILab/flash-attention/releases)"
  .venv-llamafactory/bin/python -m pip install --verbose --no-build-isolation --requirement recipes/warm_start/requirements.txt
  cp recipes/warm_start/requirements.txt .venv-llamafactory/.installed
fi

export PATH="$PWD/.venv-llamafactory/bin:$PATH"
datasets=$(python -c 'import json, sys; print(",".join(json.load(open(sys.argv[1]))))' "$data/dataset_info.json")
# The checkpoint says how it writes boxes and for which images, as one of `fgrpo stages` does: RL refuses to differ.
{ read -r output && read -r marker; } < <(
  python - "$config" "$data" "$@" <<'PYTHON'
import json, sys
from pathlib import Path

import yaml

config, data, *given = sys.argv[1:]
values = yaml.safe_load(Path(config).read_text()) | dict(pair.split("=", 1) for pair in given)
images = {key: int(values[f"image_{key}"]) for key in ("min_pixels", "max_pixels")}
summary = Path(data, "summary.json")
policy = json.loads(summary.read_text()).get("policy", {}) if summary.exists() else {}
coordinates = policy.get("coordinates", "pixels")
for key, pixels in images.items():
    if coordinates == "pixels" and policy.get(key, pixels) != pixels:
        sys.exit(f"error: image_{key}={pixels}: boxes of {data} are in pixels of images with {key}={policy[key]}: take that")
print(values["output_dir"], json.dumps({**images, "coordinates": coordinates}), sep="\n")
PYTHON
) || exit 1
rm -f "$output/image_budget.json" # finished is what has it: an earlier training's would stand for this one
export FORCE_TORCHRUN=1 NPROC_PER_NODE=$gpus
llamafactory-cli train "$config" dataset_dir="$data" dataset="$datasets" \
  gradient_accumulation_steps=$((8 / gpus)) "$@"
echo "$marker" >"$output/image_budget.json"
