#!/usr/bin/env bash
# From the public sources to the SFT set and the RL set of FGRPO (sections A.3 and A.4), with data card, contact sheet
# and validation. The same command again goes on where it stopped; on a finished set it only validates.
#
# Needed: a teacher and a base model behind OpenAI-compatible URLs (`vllm serve NAME`), and about 300 GB of disk for the
# sources' pictures. Everything is an environment variable:
#
#   TEACHER_URL, TEACHER_MODEL      of the traces                       (paper: Qwen/Qwen2.5-VL-72B-Instruct)
#   BASE_URL, BASE_MODEL            of the difficulty filter            (paper: Qwen/Qwen2.5-VL-7B-Instruct)
#                                   BASE_URL=vllm loads BASE_MODEL in the Ray cluster (RAY_ADDRESS, else this machine)
#   TEACHER_KEY_ENV, BASE_KEY_ENV   names of the variables with API keys; empty for none
#   OUT                             where everything goes               (data/fgrpo)
#   SAT, VGR, VISUAL_COT, TREEVGR   hub id, folder or file              (the sources' own hub ids)
#   VGR_IMAGES, VISUAL_COT_IMAGES, TREEVGR_IMAGES                       (where the sources lie)
#   BENCHMARKS                      folders or files of benchmark items to keep out, separated by spaces
#   OPEN_ENDED                      questions without choices: keep, drop or to-choices (keep)
#   EMBEDDER                        sentence-transformers model, hub id or folder
#   SEEDS                           of the SFT set                      (sat=1500 vgr=1500 visual_cot=3000)
#   MIX                             of the RL set                       (sat=15700 vgr=7000 visual_cot=13000 treevgr=13000)
#   VAL                             rows for validation out of MIX      (500)
#   WORKERS, CONCURRENCY            processes that ask the base model, calls under way of each (1, 64)
#   COORDINATES                     of boxes in traces: pixels (Qwen2.5-VL, into OUT/traces/sft) or thousand (Qwen3-VL,
#                                   into OUT/traces/sft_thousand; another run for the other one asks no teacher)   (pixels)
#   SEED                            of every draw                       (0)
#   MCTS_ARGS, DIFFICULTY_ARGS      further options of these stages: fgrpo data STAGE --help
set -euo pipefail
cd "$(dirname "$0")/.."
source recipes/setup/environment.sh

: "${TEACHER_URL:?set it to the base URL of the teacher, such as http://host:8000/v1}"
: "${BASE_URL:?set it to the base URL of the base model, or to vllm}"
TEACHER_MODEL=${TEACHER_MODEL:-Qwen/Qwen2.5-VL-72B-Instruct}
BASE_MODEL=${BASE_MODEL:-Qwen/Qwen2.5-VL-7B-Instruct}
OUT=${OUT:-data/fgrpo}
OPEN_ENDED=${OPEN_ENDED:-keep}
EMBEDDER=${EMBEDDER:-sentence-transformers/all-MiniLM-L6-v2}
SEEDS=${SEEDS:-sat=1500 vgr=1500 visual_cot=3000}
MIX=${MIX:-sat=15700 vgr=7000 visual_cot=13000 treevgr=13000}
VAL=${VAL:-500}
SEED=${SEED:-0}
COORDINATES=${COORDINATES:-pixels}
export TOKENIZERS_PARALLELISM=false

stage() { fgrpo data "$@"; }

use_environment data

benchmarks=()
for items in ${BENCHMARKS:-}; do benchmarks+=(--benchmark "$items"); done
for name in sat vgr visual_cot treevgr; do
  location=${name^^} images=${name^^}_IMAGES
  echo "== $name"
  stage normalise "$name" --out "$OUT/normalised/$name" --location "${!location:-}" --images "${!images:-}" \
    --open-ended "$OPEN_ENDED" --seed "$SEED" "${benchmarks[@]}"
done

echo "== SFT set"
read -ra seeds <<<"$SEEDS"
stage curate "${seeds[@]/#/$OUT/normalised/}" --out "$OUT/seeds" --embedder "$EMBEDDER" --seed "$SEED"
read -ra mcts_args <<<"${MCTS_ARGS:-}"
stage mcts "$OUT/seeds/seeds.parquet" --out "$OUT/traces" --base-url "$TEACHER_URL" --model "$TEACHER_MODEL" \
  --api-key-env "${TEACHER_KEY_ENV:-}" --seed "$SEED" --policy-coordinates "$COORDINATES" "${mcts_args[@]}"
sft=$OUT/traces/sft
[ "$COORDINATES" = pixels ] || sft+=_$COORDINATES

echo "== RL set"
read -ra difficulty_args <<<"${DIFFICULTY_ARGS:-}"
[ "$BASE_URL" = vllm ] || difficulty_args+=(--base-url "$BASE_URL")
stage difficulty "$OUT"/normalised/{sat,vgr,visual_cot,treevgr} --out "$OUT/filtered" --model "$BASE_MODEL" \
  --api-key-env "${BASE_KEY_ENV:-}" --workers "${WORKERS:-1}" --concurrency "${CONCURRENCY:-64}" --seed "$SEED" \
  "${difficulty_args[@]}"
read -ra portions <<<"$MIX"
stage mix "${portions[@]/#/$OUT/filtered/}" --out "$OUT/rl" --val "$VAL" --seed "$SEED"
stage card "$OUT/rl" "$OUT"/normalised/{sat,vgr,visual_cot,treevgr} "$OUT/seeds" "$sft" \
  "$OUT"/filtered/{sat,vgr,visual_cot,treevgr}
stage inspect "$OUT/rl/train.parquet" --out "$OUT/rl/contact_sheet.html"
stage validate "$OUT/rl/train.parquet" "$OUT/rl/val.parquet"
echo "SFT set: $sft"
echo "RL set:  $OUT/rl/train.parquet, $OUT/rl/val.parquet, $OUT/rl/README.md, $OUT/rl/contact_sheet.html"
