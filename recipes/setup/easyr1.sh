# Sourced by the recipes for EasyR1. Usage: run_on_easyr1 KEY=VALUE... "$@"
# The last word on a key wins. With --plan among the arguments the run is checked, and nothing is started; --no-files
# beside it leaves out what needs the model and the data.
run_on_easyr1() {
  local argument arguments=() command=(train)
  for argument in "$@"; do
    case $argument in
      --plan) command=(plan "${command[@]:1}") ;;
      --no-files) command+=("$argument") ;;
      *) arguments+=("$argument") ;;
    esac
  done
  exec fgrpo "${command[@]}" config=recipes/easyr1/qwen2_5_vl.yaml "${arguments[@]}"
}
