"""What this project registers with verl, and whether this process has it registered."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.verl_plugin.names import AGENT_LOOP, CPU_ROLLOUT, TRAINER


@dataclass(frozen=True)
class Registration:
    """One thing this project registers with verl.

    Attributes:
        what: the kind of thing.
        name: under which it is registered.
        owner: module of verl that owns the registry; importing it registers the thing.
        present: looks into the imported owner, and raises or says False when the thing is not there.
    """

    what: str
    name: str
    owner: str
    present: Callable[[Any], bool]

    def problem(self) -> str | None:
        """Why the thing is not registered, None when it is."""
        try:
            if self.present(importlib.import_module(self.owner)):
                return None
            cause = f"{self.owner} does not hold it"
        except Exception as error:  # whatever breaks here is what the doctor was asked for
            cause = named(error)
        return f"{self.what} {self.name!r} is not registered: {cause}"


REGISTRATIONS = (
    Registration("trainer", TRAINER, "verl.trainer.ppo.v1", lambda v1: TRAINER in v1.trainer_base.TRAINER_REGISTRY),
    Registration(
        "estimator", ESTIMATOR, "verl.trainer.ppo.core_algos", lambda algos: ESTIMATOR in algos.ADV_ESTIMATOR_REGISTRY
    ),
    Registration(
        "agent loop",
        AGENT_LOOP,
        "verl.experimental.agent_loop",
        lambda loops: AGENT_LOOP in loops.agent_loop._agent_loop_registry,
    ),
    Registration(
        "engine",
        "FrozenVisionEngine",
        "verl.workers.engine",
        lambda engines: any(
            engine.__name__ == "FrozenVisionEngine"
            for by_device in engines.EngineRegistry._engines["language_model"].values()
            for engine in by_device.values()
        ),
    ),
    Registration(
        "rollout worker",
        CPU_ROLLOUT,
        "verl.workers.rollout.base",
        lambda base: bool(base.get_rollout_class(CPU_ROLLOUT, "async")),
    ),
    Registration(
        "rollout server",
        CPU_ROLLOUT,
        "verl.workers.rollout.replica",
        lambda replica: bool(replica.RolloutReplicaRegistry.get(CPU_ROLLOUT)),
    ),
)
CPU_PLATFORM = Registration(
    "platform", "cpu", "verl.plugin.platform", lambda platforms: bool(platforms.PlatformRegistry.get("cpu"))
)


def registrations() -> tuple[Registration, ...]:
    """What is registered on this platform."""
    from easyr1_fgrpo.host import on_cpu

    return (*REGISTRATIONS, *((CPU_PLATFORM,) if on_cpu() else ()))


def named(error: BaseException) -> str:
    """An exception with its type, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
