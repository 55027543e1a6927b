"""The entry point `verl.plugins`: runs in every process that imports verl, and registers what this project adds.

verl loads this module and calls nothing in it, so importing it is registering. Nothing heavy is imported here. Each
registration waits for verl to import the module that owns the registry, so that light processes stay light.
"""

from __future__ import annotations

import importlib
import logging
from functools import partial
from types import ModuleType

import wrapt

from easyr1_fgrpo.host import on_cpu
from easyr1_fgrpo.verl_plugin import compat
from easyr1_fgrpo.verl_plugin.names import CPU_ROLLOUT

logger = logging.getLogger(__name__)

# The module of verl that owns a registry -> our module whose import registers with it.
_REGISTRATIONS = {
    "verl.trainer.ppo.core_algos": "easyr1_fgrpo.verl_plugin.estimator",
    "verl.trainer.ppo.v1": "easyr1_fgrpo.verl_plugin.trainer",
    "verl.experimental.agent_loop": "easyr1_fgrpo.verl_plugin.agent_loop",
    "verl.workers.engine": "easyr1_fgrpo.verl_plugin.engine",
}

_registered = False


def register() -> None:
    """Register trainer, estimator, agent loop, engine and our rollout; with VERL_PLATFORM=cpu also that platform."""
    global _registered
    if _registered:
        return
    if on_cpu():
        _register_platform()
    compat.apply_patches()
    wrapt.register_post_import_hook(_register_rollout_worker, "verl.workers.rollout.base")
    wrapt.register_post_import_hook(_register_rollout_server, "verl.workers.rollout.replica")
    for owner, ours in _REGISTRATIONS.items():
        wrapt.register_post_import_hook(partial(_import_ours, ours), owner)
    _registered = True


def is_registered() -> bool:
    """Whether `register` ran to its end in this process."""
    return _registered


def _import_ours(name: str, owner: ModuleType) -> None:
    try:
        importlib.import_module(name)
    except Exception:
        # verl logs a plug-in's failure at DEBUG only; a trainer without its estimator must not look healthy.
        logger.exception("easyr1_fgrpo could not register %s with %s", name, owner.__name__)
        raise


def _register_platform() -> None:
    from verl.plugin.platform import PlatformRegistry

    from easyr1_fgrpo.verl_plugin.cpu.platform import PlatformCPU

    PlatformRegistry.register("cpu")(PlatformCPU)


def _register_rollout_worker(module: ModuleType) -> None:
    module._ROLLOUT_REGISTRY[(CPU_ROLLOUT, "async")] = "easyr1_fgrpo.verl_plugin.cpu.rollout.CpuServerAdapter"


def _register_rollout_server(module: ModuleType) -> None:
    module.RolloutReplicaRegistry.register(
        CPU_ROLLOUT, lambda: importlib.import_module("easyr1_fgrpo.verl_plugin.cpu.rollout").CpuReplica
    )


register()
