"""What a run that makes no step waits for: verl waits without a word while the cluster cannot place its workers."""

from __future__ import annotations

import time

import ray
from ray.autoscaler.v2.sdk import get_cluster_status

PATIENCE_S = 30.0
"""Seconds for which the same request must wait before it is worth a word: workers are placed one after another."""


class Waiting:
    """Notices requests of a Ray cluster, this run's or another's, that are not placed for a while."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._since = time.monotonic()
        self._seen: tuple[str, ...] = ()
        self._told: tuple[str, ...] = ()

    def news(self) -> str | None:
        """One line about what has been waiting for longer than our patience; None otherwise, and once it is told."""
        try:
            waiting = _unplaced()
        except ray.exceptions.RayError:  # the cluster is going away, which verl notices, too
            return None
        if waiting != self._seen:
            self._seen, self._since = waiting, time.monotonic()
        if not waiting or waiting == self._told or time.monotonic() - self._since < self._patience_s:
            return None
        self._told = waiting
        free = ray.available_resources()
        has = ", ".join(f"{name}={free.get(name, 0.0):g}" for name in ("CPU", "GPU"))
        return (
            f"waiting: the Ray cluster cannot place {'; '.join(waiting)} (free: {has}); "
            "end another run on it, add a node, or ask for less"
        )


def _unplaced() -> tuple[str, ...]:
    """What is asked of the cluster and not placed, sorted; nothing while there is no connection."""
    if not ray.is_initialized():
        return ()
    demands = get_cluster_status(ray.get_runtime_context().gcs_address).resource_demands
    requests = [
        request
        for demand in (*demands.placement_group_demand, *demands.ray_task_actor_demand)
        for request in demand.bundles_by_count
    ]
    return tuple(
        sorted(
            f"{request.count} x {', '.join(f'{name}={amount:g}' for name, amount in sorted(request.bundle.items()))}"
            for request in requests
        )
    )
