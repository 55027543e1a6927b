#!/usr/bin/env bash
# A recipe on SLURM: Ray's head on the first node, workers on the others, judges and trainer in that one Ray.
#   sbatch --nodes=2 recipes/ray/slurm.sh recipes/run_fgrpo_qwen25vl_7b.sh [OVERRIDES ...]
# The checkout and its .venv lie on a disk that all nodes see; submit from there. Nodes have equal GPUs: trainer.nnodes
# of them train, judges take theirs on the rest. One node takes scale=gpus_4: 4 GPUs train, 2 are the judge's.
#SBATCH --job-name=fgrpo
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=72:00:00
#SBATCH --output=slurm-%x-%j.log
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?error: this script is for sbatch}"

fail() {
  echo "error: $1" >&2
  exit 1
}

[ $# -ge 1 ] || fail "usage: sbatch recipes/ray/slurm.sh RECIPE [OVERRIDES ...]"
[ -f "$1" ] || fail "$1: no such recipe; submit from the checkout and give a path like recipes/run_fgrpo_tiny_cpu.sh"
[ -f .venv/bin/activate ] || fail "$PWD/.venv: no environment there; make it before (docs/gpus.md, The machine)"
source .venv/bin/activate

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# On the head's own node; jobs that share it get different ports.
port=$((20000 + SLURM_JOB_ID % 20000))
ip=$(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')
export RAY_ADDRESS="$ip:$port"
# Only who has the token may use this cluster. srun hands it on in the environment, not on a command line.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
# Judges never end by themselves, so Ray need not wait for them (30 s) when it is ended.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0

# `ray stop` would end every Ray on a node, other jobs' too: each step is ended by its own process.
steps=()
stop_ray() {
  for step in "${steps[@]}"; do kill -TERM "$step" 2>/dev/null || true; done
  for step in "${steps[@]}"; do wait "$step" 2>/dev/null || true; done
}
trap stop_ray EXIT
start_node() { # NODE ARGUMENTS...
  srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" \
    ray start "${@:2}" --block --num-gpus="${SLURM_GPUS_ON_NODE:-8}" --disable-usage-stats &
  steps+=($!)
}

echo "== starting Ray on ${#nodes[@]} nodes, head ${nodes[0]}"
start_node "${nodes[0]}" --head --node-ip-address="$ip" --port="$port" --include-dashboard=false
for try in $(seq 60); do
  ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1 && break
  kill -0 "${steps[0]}" 2>/dev/null || fail "Ray's head on ${nodes[0]} ended while it was starting"
  [ "$try" -lt 60 ] || fail "Ray's head on ${nodes[0]} did not answer at $RAY_ADDRESS within two minutes"
  sleep 2
done
for node in "${nodes[@]:1}"; do
  start_node "$node" --address="$RAY_ADDRESS"
done
python - "${#nodes[@]}" <<'PYTHON'
import sys, time, ray

wanted = int(sys.argv[1])
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
deadline = time.monotonic() + 300
while (alive := sum(node["Alive"] for node in ray.nodes())) < wanted:
    if time.monotonic() > deadline:
        sys.exit(f"error: {alive} of {wanted} nodes joined Ray within five minutes")
    time.sleep(2)
PYTHON

# Verdicts are cached in SQLite, which does not work on the shared disk: on each node's own, unless an override says more.
cache=${SLURM_TMPDIR:-/tmp}/fgrpo_judge_cache-$(id -un)
bash "$1" fgrpo.judge_cache.directory="$cache" "${@:2}"
