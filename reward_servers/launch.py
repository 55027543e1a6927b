"""`python -m reward_servers.launch [overrides]`: start the judge servers of a run, with the overrides of its training.

Servers are detached Ray actors `judge-<name>` in the run's own namespace: they outlive this command, are restarted by
Ray when they die, and end with `python -m reward_servers.stop`. A server of the same name is replaced.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import ray

from easyr1_fgrpo.config.schema import FgrpoConfig, JudgeServerConfig
from easyr1_fgrpo.judges.served import actor_name
from reward_servers.cluster import end, run_command
from reward_servers.server import JudgeServerActor


def launch(settings: FgrpoConfig) -> list[str]:
    """Start every judge server of a run and wait for its first sign of health, printing one line each.

    A server that fails is ended again.

    Returns:
        One line per server that failed: its name and why.
    """
    namespace = settings.namespace
    started_at = time.monotonic()
    actors = {name: _start(name, config, namespace) for name, config in settings.reward_servers.items()}
    failures = []
    for name, config in settings.reward_servers.items():
        remaining_s = config.start_deadline_s - (time.monotonic() - started_at)
        try:
            pid = ray.get(actors[name].health.remote(), timeout=max(remaining_s, 0.1))
        except ray.exceptions.RayError as error:
            end(name, namespace)
            failures.append(f"{actor_name(name)}: {_cause(error, config)}")
        else:
            print(f"{actor_name(name)}: ready in namespace {namespace}, {config.target}, pid {pid}", flush=True)
    return failures


def _start(name: str, config: JudgeServerConfig, namespace: str) -> Any:
    end(name, namespace)
    options = {"name": actor_name(name), "namespace": namespace, "lifetime": "detached", "num_cpus": config.num_cpus}
    return JudgeServerActor.options(**options).remote(config.target, config.options, os.getcwd())


def _cause(error: Exception, config: JudgeServerConfig) -> str:
    if isinstance(error, ray.exceptions.GetTimeoutError):
        free = ray.available_resources().get("CPU", 0.0)
        return (
            f"not healthy within start_deadline_s={config.start_deadline_s:g}; it needs num_cpus={config.num_cpus:g} "
            f"and the cluster has {free:g} free"
        )
    # A judge that cannot be built: Ray wraps its exception twice, the last line is the exception itself.
    return str(error).strip().splitlines()[-1]


if __name__ == "__main__":
    sys.exit(run_command(launch))
