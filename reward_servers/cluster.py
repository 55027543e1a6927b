"""The Ray cluster a run's judge servers live on: joining it, finding servers, ending them."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.util import list_named_actors

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.judges.served import actor_name

CONNECT_DEADLINE_S = 5.0
END_DEADLINE_S = 30.0


class ClusterError(RuntimeError):
    """There is no usable Ray cluster at RAY_ADDRESS."""


def run_command(act: Callable[[FgrpoConfig], list[str]]) -> int:
    """Act on the cluster with the config that the command line's overrides ask for.

    Args:
        act: takes the settings and returns one line per problem.

    Returns:
        The exit code: 1 when there was a problem, each of which is printed in one line.
    """
    try:
        with joined():
            problems = act(read_settings(load_config(sys.argv[1:])))
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
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
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
    """Names of the judge servers in a namespace."""
    prefix = actor_name("")
    names = (actor["name"] for actor in list_named_actors(all_namespaces=True) if actor["namespace"] == namespace)
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def end(server: str, namespace: str) -> bool:
    """End a judge server and wait until its name is free.

    Returns:
        Whether there was one.

    Raises:
        TimeoutError: when its name is still taken after `END_DEADLINE_S`.
    """
    actor = find(server, namespace)
    if actor is None:
        return False
    ray.kill(actor, no_restart=True)
    deadline = time.monotonic() + END_DEADLINE_S
    while find(server, namespace) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{actor_name(server)} in namespace {namespace} is still there after {END_DEADLINE_S} s")
        time.sleep(0.05)
    return True
