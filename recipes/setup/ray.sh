# Sourced by recipes, after environment.sh; what they start ends with the script, and nothing else.
#   start_ray [OPTIONS OF ray start]  joins the Ray cluster at RAY_ADDRESS; without it, starts a private one
#   launch_judges [OVERRIDES...]      the judge servers of the run

start_ray() {
  if [ -n "${RAY_ADDRESS:-}" ]; then
    echo "== using the Ray cluster at $RAY_ADDRESS"
    return
  fi
  local port
  port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  echo "== starting Ray"
  # A token of this run's own; left alone, Ray would write one into the user's home.
  RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
  # Ray ends with this script, also when that is killed and runs no trap.
  local with_us=()
  if command -v setpriv >/dev/null; then with_us=(setpriv --pdeathsig TERM); fi
  # Ray notes every call of an actor for its dashboard, which this cluster has not: 4 KB each in the control store, up to
  # 100,000 of them, and a rollout is five calls.
  export RAY_task_events_report_interval_ms=0
  # Seconds for which its processes look for a control store that is gone, 60 otherwise: nobody starts this one again.
  export RAY_gcs_rpc_server_reconnect_timeout_s=15
  # Judges never end by themselves, so Ray need not wait for them (30 s) when it is ended.
  RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 RAY_DISABLE_IMPORT_WARNING=1 "${with_us[@]}" ray start --head --block --port="$port" \
    "$@" --include-dashboard=false --disable-usage-stats >/dev/null 2>&1 &
  RAY_HEAD_PID=$!
  trap stop_ray EXIT
  export RAY_ADDRESS="127.0.0.1:$port"
  for _ in $(seq 60); do
    if ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; then
      RAY_STARTED=yes
      return
    fi
    kill -0 "$RAY_HEAD_PID" 2>/dev/null || break
    sleep 1
  done
  echo "error: Ray did not start on port $port within a minute; see the logs below /tmp/ray" >&2
  return 1
}

launch_judges() {
  if [ -z "${RAY_HEAD_PID:-}" ]; then
    # A private cluster ends with its judges; in a joined one they would keep their CPUs and GPUs from the next run.
    JUDGED_RUN=("$@")
    trap 'fgrpo judge stop "${JUDGED_RUN[@]}"' EXIT
  fi
  fgrpo judge serve "$@"
}

stop_ray() {
  local code=$?
  if ! kill -TERM "$RAY_HEAD_PID" 2>/dev/null && [[ -n ${RAY_STARTED:-} && ! $code =~ ^(0|130|143)$ ]]; then
    # A process of Ray's was killed, and Ray has ended whoever was connected to it, without a word.
    echo "error: Ray ended before its run did (logs below /tmp/ray); the same command resumes after the last checkpoint" >&2
  fi
  wait "$RAY_HEAD_PID" 2>/dev/null || true
}
