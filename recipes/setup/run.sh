# Sourced by the RL recipes: what is missing of the way to the run, Ray, the judges, training, the last table.
# Usage: run_recipe GROUP=CHOICE... "$@"
# The last word on a key wins. With --plan among the arguments the run is checked and counted, and nothing is started.
source recipes/setup/environment.sh
source recipes/setup/ray.sh

run_recipe() {
  local argument arguments=() plan='' scale='' resources=()
  for argument in "$@"; do
    case $argument in
      --plan) plan=yes && continue ;;
      scale=*) scale=${argument#scale=} ;;
    esac
    arguments+=("$argument")
  done
  use_environment || return 1
  if [ -n "$plan" ]; then
    fgrpo plan "${arguments[@]}"
    return
  fi
  if [ "$scale" = cpu ]; then
    # One thread a process: the stages are too small for two, and threads that wait for each other crawl on a busy machine.
    export VERL_PLATFORM=cpu HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
    # Logical resources: the trainer's one slot is a "GPU", and two cores carry 8 workers.
    resources=(--num-cpus=8 --num-gpus=1)
  elif [ "$scale" = gpus_1 ]; then
    resources=(--num-cpus=16) # logical, too: a machine with one GPU may have few cores
  fi
  export TOKENIZERS_PARALLELISM=false VERL_LOGGING_LEVEL=WARNING TRANSFORMERS_VERBOSITY=error
  attended fgrpo stages "${arguments[@]}"
  start_ray "${resources[@]}"
  launch_judges "${arguments[@]}"
  attended fgrpo train "${arguments[@]}"
  attended fgrpo summary "${arguments[@]}"
}

# A command that is told when this script is stopped (SIGTERM: kill, docker stop, a scheduler), and waited for while it says
# what it leaves; on its own, the script would die first. Ctrl-C reaches the command from the terminal.
attended() {
  local child code
  "$@" &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null || true' TERM
  trap : INT
  wait "$child" && code=0 || code=$?
  while kill -0 "$child" 2>/dev/null; do # that was a signal to this script
    wait "$child" && code=0 || code=$?
  done
  trap - TERM INT
  return "$code"
}
