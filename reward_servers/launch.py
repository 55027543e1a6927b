"""`fgrpo judge serve [overrides]`: start the judge servers of a run, with the overrides of its training.

Servers are detached Ray actors `judge-<name>` in the run's own namespace: they outlive this command, are restarted by
Ray when they die, and end with `fgrpo judge stop`. A server of the same name is replaced. A server of kind
"vllm" also keeps its GPUs reserved, and writes vLLM's output to `<run_dir>/judges/<name>.log` on its node.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from easyr1_fgrpo.config.judges import EmbeddedServerConfig, JudgeServerConfig, VllmServerConfig
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.served import actor_name
from reward_servers.cluster import end, reserve
from reward_servers.server import JudgeServerActor
from reward_servers.vllm_server import VllmServerActor, free_port, reservation

POLL_S = 0.2
FIRST_NEWS_S = 5.0
"""A server that is ready before needs no word about its progress."""
NEWS_EVERY_S = 15.0
CALL_DEADLINE_S = 30.0

Start = Generator[str, None, str]
"""A server's start, step by step: yields what it waits for, returns what it is when ready."""


class LaunchError(RuntimeError):
    """A server that did not get ready, and why."""


def launch(settings: FgrpoConfig) -> list[str]:
    """Start every judge server of a run together and wait for their first sign of health, printing one line each.

    What a server waits for is printed to stderr now and then. A server that fails is ended again; when the wait is
    broken off, so are those that are not ready.

    Returns:
        One message per server that failed: its name and why, for vLLM with the last lines of its log.
    """
    starting = {name: _start(name, config, settings) for name, config in settings.reward_servers.items()}
    if not starting:
        print("no judge server to launch: the config names none")
    failures = []
    started = time.monotonic()
    news = FIRST_NEWS_S
    try:
        while starting:
            waited = time.monotonic() - started
            for name, start in list(starting.items()):
                try:
                    waits_for = next(start)
                except StopIteration as ready:
                    print(f"{actor_name(name)}: ready in namespace {settings.namespace}, {ready.value}", flush=True)
                    del starting[name]
                except (LaunchError, ray.exceptions.RayError) as error:
                    end(name, settings.namespace)
                    failures.append(f"{actor_name(name)}: {_cause(error)}")
                    del starting[name]
                else:
                    if waited > news:
                        print(f"{actor_name(name)}: {waits_for} ({waited:.0f} s)", file=sys.stderr, flush=True)
            news += NEWS_EVERY_S if waited > news else 0.0
            time.sleep(POLL_S if starting else 0.0)
    finally:
        for name in starting:
            end(name, settings.namespace)
    return failures


def _start(name: str, config: JudgeServerConfig, settings: FgrpoConfig) -> Start:
    deadline = time.monotonic() + config.start_deadline_s
    end(name, settings.namespace)
    if isinstance(config, VllmServerConfig):
        return (yield from _start_vllm(name, config, settings, deadline))
    return (yield from _start_embedded(name, config, settings, deadline))


def _start_embedded(name: str, config: EmbeddedServerConfig, settings: FgrpoConfig, deadline: float) -> Start:
    needs = {"CPU": config.num_cpus}
    actor = JudgeServerActor.options(**_published(name, settings), num_cpus=config.num_cpus).remote(
        config.target, config.options, os.getcwd()
    )
    pid = yield from _answer(actor.health.remote(), needs, config, deadline)
    return f"{config.target}, pid {pid}"


def _start_vllm(name: str, config: VllmServerConfig, settings: FgrpoConfig, deadline: float) -> Start:
    needs = reservation(config)
    if not needs:
        raise LaunchError("num_cpus=0 and num_gpus=0 reserve nothing: give num_cpus at least")
    group = reserve(name, settings.namespace, needs)
    yield from _answer(group.ready(), needs, config, deadline)
    there = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    # Chosen once and on the server's own node, so that the URL outlives restarts.
    asked = free_port.options(scheduling_strategy=there).remote()
    port = config.port or (yield from _answer(asked, needs, config, deadline))
    log = Path(settings.run_dir) / "judges" / f"{name}.log"
    actor = VllmServerActor.options(
        **_published(name, settings),
        scheduling_strategy=there,
        num_cpus=needs.get("CPU", 0),
        num_gpus=needs.get("GPU", 0),
    ).remote(config, port, str(log), os.getcwd())
    health = yield from _answer(actor.health.remote(), needs, config, deadline)
    while not health.healthy:
        # The actor keeps the deadline now: it starts anew whenever vLLM does, and its failure holds vLLM's last words.
        if health.failure:
            raise LaunchError(health.failure)
        yield f"loading {config.model}, log in {log}"
        health = ray.get(actor.health.remote(), timeout=CALL_DEADLINE_S)
    (url,) = ray.get(actor.urls.remote(), timeout=CALL_DEADLINE_S)
    return f"{config.model} at {url}, pid {health.pid}, log in {log}"


def _published(name: str, settings: FgrpoConfig) -> dict[str, Any]:
    return {"name": actor_name(name), "namespace": settings.namespace, "lifetime": "detached"}


def _answer(
    reference: Any, needs: dict[str, float], config: JudgeServerConfig, deadline: float
) -> Generator[str, None, Any]:
    """Wait, step by step, for an answer that cannot come before the cluster has given what a server needs."""
    while not ray.wait([reference], timeout=0)[0]:
        if time.monotonic() > deadline:
            raise LaunchError(
                f"not healthy within start_deadline_s={config.start_deadline_s:g}; it {_situation(needs)}"
            )
        yield f"starting; it {_situation(needs)}"
    return ray.get(reference)


def _situation(needs: dict[str, float]) -> str:
    free = ray.available_resources()
    return f"needs {_listed(needs)} and the cluster has {_listed({name: free.get(name, 0.0) for name in needs})} free"


def _listed(resources: dict[str, float]) -> str:
    return ", ".join(f"num_{name.lower()}s={amount:g}" for name, amount in resources.items())


def _cause(error: Exception) -> str:
    """Why a server did not get ready; of Ray's own errors, which hold tracebacks, the last line."""
    text = str(error).strip()
    return text if isinstance(error, LaunchError) else text.splitlines()[-1]
