"""What a run that makes no step waits for: verl says nothing while the cluster has no room for its workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.autoscaler.v2.sdk import get_cluster_status

PATIENCE_S = 30.0
"""Seconds for which something must be lacking before it is worth a word."""

Resources = Mapping[str, float]
"""Amounts by Ray's names."""


@dataclass(frozen=True)
class Lack:
    """Resources of which more is asked than is free; the same lack as long as the same is asked."""

    asked: Resources
    line: str = field(compare=False)


class Waiting:
    """Notices when more is asked of a Ray cluster, by this run or another, than it has free."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._since = time.monotonic()
        self._seen: Lack | None = None
        self._told: Lack | None = None

    def news(self) -> str | None:
        """One line about what has been lacking for longer than our patience; None otherwise and when reported."""
        try:
            lack = _lack()
        except ray.exceptions.RayError:  # the cluster is going away, which verl notices, too
            return None
        if lack != self._seen:
            self._seen, self._since = lack, time.monotonic()
        if lack is None or lack == self._told or time.monotonic() - self._since < self._patience_s:
            return None
        self._told = lack
        return lack.line


def _lack() -> Lack | None:
    """What the whole cluster lacks; where it has enough, what no single node of it has."""
    if not ray.is_initialized():
        return None
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    demands = (*status.resource_demands.placement_group_demand, *status.resource_demands.ray_task_actor_demand)
    nodes = [node.available_resources() for node in (*status.active_nodes, *status.idle_nodes)]
    return _of_the_cluster(demands, ray.available_resources()) or _of_a_node(demands, nodes)


def _of_the_cluster(demands: tuple[Any, ...], free: Resources) -> Lack | None:
    asked = _beyond(sum((_together(demand) for demand in demands), Counter()), free)
    line = (
        f"waiting: the Ray cluster has {_listed(asked, free)} free, and {_listed(asked, asked)} asked of it; "
        "end another run on it, add a node, or ask for less"
    )
    return Lack(asked, line) if asked else None


def _of_a_node(demands: tuple[Any, ...], nodes: list[Resources]) -> Lack | None:
    for piece in (piece for demand in demands for piece in _pieces(demand)):
        if all(_beyond(piece, node) for node in nodes):
            most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in piece}
            asked = _beyond(piece, most) or piece
            line = (
                f"waiting: {_listed(asked, asked)} asked of one node of the Ray cluster, where no node has more than "
                f"{_listed(asked, most)} free; end another run on it, add a larger node, or ask for less on each "
                "(trainer.n_gpus_per_node)"
            )
            return Lack(asked, line)
    return None


def _pieces(demand: Any) -> Iterator[Resources]:
    """What of a demand has to be on one node."""
    if getattr(demand, "strategy", None) == "STRICT_PACK":
        yield _together(demand)
    else:
        yield from (request.bundle for request in demand.bundles_by_count)


def _together(demand: Any) -> Counter[str]:
    asked: Counter[str] = Counter()
    for request in demand.bundles_by_count:
        asked.update({name: amount * request.count for name, amount in request.bundle.items()})
    return asked


def _beyond(asked: Resources, free: Resources) -> dict[str, float]:
    return {name: amount for name, amount in sorted(asked.items()) if amount > free.get(name, 0.0)}


def _listed(names: Resources, resources: Resources) -> str:
    return ", ".join(f"{name}={resources.get(name, 0.0):g}" for name in names)
