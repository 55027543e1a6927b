"""One run on a Ray cluster: verl's rollouts go through TransferQueue, whose controller is one actor for all.

A second run would attach to the first one's controller and share its partition `train`: rollouts of both would mix,
and the first to end would take the other's queue along.
"""

from __future__ import annotations

import time
from typing import Any

import ray

CONTROLLER, NAMESPACE = "TransferQueueController", "transfer_queue"
PATIENCE_S = 15.0
"""Seconds that the controller of a run that has just been killed may take to go."""


class SecondRunError(RuntimeError):
    """Another run uses this Ray cluster."""


class Alone:
    """A task runner of verl's that starts only on a cluster without another run.

    verl makes its runner as soon as it has joined or started Ray, which is the first moment to look.

    Args:
        runner: the remote class.
        patience_s: how long another run's controller may take to go.
    """

    def __init__(self, runner: Any, patience_s: float = PATIENCE_S) -> None:
        self._runner, self._patience_s = runner, patience_s

    def options(self, **options: Any) -> Alone:
        """The same with Ray's options."""
        return Alone(self._runner.options(**options), self._patience_s)

    def remote(self) -> Any:
        """Make the runner.

        Raises:
            SecondRunError: when another run is there.
        """
        deadline = time.monotonic() + self._patience_s
        while _taken():
            if time.monotonic() >= deadline:
                raise SecondRunError(
                    f"another run trains on this Ray cluster ({CONTROLLER} is alive), and the rollouts of both would "
                    "mix: wait for its end or end it, or start this one on another cluster (RAY_ADDRESS, or none for "
                    "one of its own)"
                )
            time.sleep(0.5)
        return self._runner.remote()


def _taken() -> bool:
    try:
        ray.get_actor(CONTROLLER, namespace=NAMESPACE)
    except ValueError:  # there is none
        return False
    return True
