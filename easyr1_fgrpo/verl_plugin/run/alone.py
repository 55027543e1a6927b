"""One run on a Ray cluster: verl's rollouts go through TransferQueue, whose controller is one actor for all.

A second run would attach to the first one's controller and share its partition `train`: rollouts of both would mix,
and the first to end would take the other's queue along.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import ActorAlreadyExistsError

from easyr1_fgrpo.stopping import take_signals

CONTROLLER, QUEUE = "TransferQueueController", "transfer_queue"
"""Name and namespace of TransferQueue's controller, which any run of verl has."""

RUN, RUNS = "run", "fgrpo-runs"
"""Name and namespace of our task runner: Ray gives a name once, so of two runs that start at a moment one gets it."""

PATIENCE_S = 15.0
"""Seconds that a run which has just been killed may take to go."""


class SecondRunError(RuntimeError):
    """Another run uses this Ray cluster."""


class Alone:
    """A task runner of verl's that starts only on a cluster without another run.

    verl makes its runner as soon as it has joined or started Ray, which is the first moment to look.

    Args:
        runner: the remote class.
        patience_s: how long another run may take to go.
        options: Ray's, for the runner.
    """

    def __init__(self, runner: Any, patience_s: float = PATIENCE_S, **options: Any) -> None:
        self._runner, self._patience_s, self._options = runner, patience_s, options

    def options(self, **options: Any) -> Alone:
        """The same with Ray's options."""
        return Alone(self._runner, self._patience_s, **self._options, **options)

    def remote(self) -> Any:
        """Make the runner.

        Raises:
            SecondRunError: when another run is there.
        """
        take_signals()  # Ray has just put its own handlers
        deadline = time.monotonic() + self._patience_s
        while (runner := self._made()) is None:
            if time.monotonic() >= deadline:
                raise SecondRunError(
                    "another run trains on this Ray cluster, and the rollouts of both would mix: wait for its end or "
                    "end it, or start this one on another cluster (RAY_ADDRESS, or none for one of its own)"
                )
            time.sleep(0.5)
        return runner

    def _made(self) -> Any | None:
        """The runner; None while another run is there."""
        if _exists(CONTROLLER, QUEUE):
            return None
        try:
            return self._runner.options(name=RUN, namespace=RUNS, **self._options).remote()
        except ActorAlreadyExistsError:
            return None


def _exists(name: str, namespace: str) -> bool:
    try:
        ray.get_actor(name, namespace=namespace)
    except ValueError:  # there is none
        return False
    return True
