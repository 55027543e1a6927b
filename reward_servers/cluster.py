"""The Ray cluster a run's judge servers live on: joining it, finding servers, ending them."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.util import list_named_actors, placement_group_table
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.served import actor_name
from easyr1_fgrpo.ray_token import refusal

CONNECT_DEADLINE_S = 5.0
CLOSE_DEADLINE_S = 30.0
END_DEADLINE_S = 30.0


class ClusterError(RuntimeError):
    """There is no usable Ray cluster at RAY_ADDRESS."""


def run_command(act: Callable[[FgrpoConfig], list[str]], overrides: Sequence[str]) -> int:
    """Act on the cluster with the config that the overrides ask for.

    Args:
        act: takes the settings and returns one line per problem.
        overrides: Hydra overrides of the run.

    Returns:
        The exit code: 1 when there was a problem, each of which is printed in one line.
    """
    try:
        with joined():
            problems = act(read_settings(load_config(overrides)))
    except ConfigError as error:
        problems = error.lines
    except (ClusterError, TimeoutError) as error:
        problems = [str(error)]
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 1 if problems else 0


@contextmanager
def joined() -> Iterator[None]:
    """Be connected to the Ray cluster at RAY_ADDRESS while the context lasts; never start one.

    Raises:
        ClusterError: when RAY_ADDRESS is not set, or no cluster answers there.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local"):
        raise ClusterError(
            "RAY_ADDRESS names no Ray cluster: run `ray start --head`, then set RAY_ADDRESS=auto, or to its host:port"
        )
    try:
        if address != "auto":
            # Ray itself would try for two minutes and then end the process.
            parts = urlsplit(address if "://" in address else f"ray://{address}")
            socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_DEADLINE_S).close()
            if "://" not in address and (problem := refusal(address)):
                raise ClusterError(problem)
        # Of warnings Ray has one: an actor ends with its placement group. Here that is meant (`end`).
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(f"no Ray cluster answers at RAY_ADDRESS={address}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def find(server: str, namespace: str) -> Any | None:
    """The actor of a judge server, None when there is none."""
    try:
        return ray.get_actor(actor_name(server), namespace=namespace)
    except ValueError:
        return None


def running(namespace: str) -> list[str]:
    """Names of the judge servers in a namespace, those included of which only the reservation is left."""
    prefix = actor_name("")
    actors = {actor["name"] for actor in list_named_actors(all_namespaces=True) if actor["namespace"] == namespace}
    reserved = {name.removeprefix(f"{namespace}/") for name in _reservations() if name.startswith(f"{namespace}/")}
    return sorted(name.removeprefix(prefix) for name in actors | reserved if name.startswith(prefix))


def reserve(server: str, namespace: str, resources: dict[str, float]) -> PlacementGroup:
    """Reserve resources of one node for a judge server, until `end`: over its restarts, nobody else gets them.

    The reservation takes effect when the placement group's `ready()` does.
    """
    # Names of placement groups are found in the namespace of the asking job only; the name itself holds ours.
    name = _reservation_name(server, namespace)
    return placement_group([resources], strategy="STRICT_PACK", name=name, lifetime="detached")


def end(server: str, namespace: str) -> bool:
    """End a judge server with what it reserved, and wait until its name is free.

    Returns:
        Whether there was one.

    Raises:
        TimeoutError: when its name is still taken after `END_DEADLINE_S`.
    """
    actor = find(server, namespace)
    group = _reservations().get(_reservation_name(server, namespace))
    if actor is not None:
        _close(actor)
        ray.kill(actor, no_restart=True)
    if group is not None:
        remove_placement_group(group)
    deadline = time.monotonic() + END_DEADLINE_S
    while find(server, namespace) is not None or _reservation_name(server, namespace) in _reservations():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{actor_name(server)} in namespace {namespace} is still there after {END_DEADLINE_S} s")
        time.sleep(0.05)
    return actor is not None or group is not None


def _close(actor: Any) -> None:
    """Let a server that owns a process end it in good order; one that is dead or stuck loses it when it is killed."""
    if hasattr(actor, "close"):
        with suppress(ray.exceptions.RayError):
            ray.get(actor.close.remote(), timeout=CLOSE_DEADLINE_S)


def _reservation_name(server: str, namespace: str) -> str:
    return f"{namespace}/{actor_name(server)}"


def _reservations() -> dict[str, PlacementGroup]:
    """Every placement group of the cluster that has a name and is not removed."""
    entries = [entry for entry in placement_group_table().values() if entry["name"] and entry["state"] != "REMOVED"]
    return {
        entry["name"]: PlacementGroup(ray.PlacementGroupID.from_hex(entry["placement_group_id"])) for entry in entries
    }
