"""What a run that makes no step waits for: verl says nothing while the cluster has no room for its workers."""

from __future__ import annotations

import time
from collections import Counter

import ray
from ray.autoscaler.v2.sdk import get_cluster_status

PATIENCE_S = 30.0
"""Seconds for which something must be lacking before it is worth a word."""


class Waiting:
    """Notices when more is asked of a Ray cluster, by this run or another, than it has free."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._since = time.monotonic()
        self._seen: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def news(self) -> str | None:
        """One line about what has been lacking for longer than our patience; None otherwise, and once it is told."""
        try:
            asked, free = _lacking()
        except ray.exceptions.RayError:  # the cluster is going away, which verl notices, too
            return None
        if asked != self._seen:
            self._seen, self._since = asked, time.monotonic()
        if not asked or asked == self._told or time.monotonic() - self._since < self._patience_s:
            return None
        self._told = asked
        return (
            f"waiting: the Ray cluster has {_listed(free)} free, and {_listed(asked)} asked of it; "
            "end another run on it, add a node, or ask for less"
        )


def _lacking() -> tuple[dict[str, float], dict[str, float]]:
    """Of the resources of which more is asked than is free: how much is asked, and how much is free."""
    if not ray.is_initialized():
        return {}, {}
    demands = get_cluster_status(ray.get_runtime_context().gcs_address).resource_demands
    asked: Counter[str] = Counter()
    for demand in (*demands.placement_group_demand, *demands.ray_task_actor_demand):
        for request in demand.bundles_by_count:
            asked.update({name: amount * request.count for name, amount in request.bundle.items()})
    everything = ray.available_resources()
    free = {name: everything.get(name, 0.0) for name in sorted(asked) if asked[name] > everything.get(name, 0.0)}
    return {name: asked[name] for name in free}, free


def _listed(resources: dict[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())
