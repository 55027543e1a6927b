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
  fgrpo stages "${arguments[@]}"
  start_ray "${resources[@]}"
  launch_judges "${arguments[@]}"
  fgrpo train "${arguments[@]}"
  fgrpo summary "${arguments[@]}"
}
