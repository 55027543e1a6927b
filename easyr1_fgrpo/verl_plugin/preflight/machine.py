"""What a run and its warm start need of the machine: CUDA, the packages of the extra `gpu`, and enough GPUs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.extras import DISTRIBUTION
from easyr1_fgrpo.verl_plugin.preflight.gpus import gpus_here, offered, too_few, wanted_by

ON_CPU = "trainer.device=cpu"
"""Among `stages.warm_start_overrides`: a warm start without GPUs, the miniature's."""

FLASH_ATTN = "flash-attn==2.8.3"
"""As verl pins it."""
WHEELS = "https://github.com/Dao-AILab/flash-attention/releases"
PACKAGES = {
    "vllm": f"vllm is not installed: pip install --no-build-isolation '{DISTRIBUTION}[gpu]'",
    "flash_attn": (
        "flash_attn is not installed: pip install wheel ninja && pip install --no-build-isolation "
        f"{FLASH_ATTN} (which compiles for up to an hour; a wheel for this torch and CUDA from {WHEELS} takes a minute)"
    ),
}
"""Modules that verl imports late, hours into a run -> what to do where they are missing."""


def machine_problems(config: Any, settings: FgrpoConfig) -> list[str]:
    """Why the run cannot train here, one line each; nothing about a run on CPUs.

    Training and its stages ask before anything is started.
    """
    if config.trainer.device != "cuda":
        return []
    try:
        found = offered()
    except ConnectionError as error:
        return [str(error)]
    if found is None:
        cuda: str | None = (
            "trainer.device=cuda: nvidia-smi lists no GPU on this machine, and RAY_ADDRESS names no Ray cluster that "
            "has some; scale=cpu trains without"
        )
    else:
        here = None if "RAY_ADDRESS" in os.environ else cpu_build()
        cuda = here or too_few(wanted_by(config, settings), found)
    return [*([cuda] if cuda else ()), *_package_problems(config)]


def warm_start_problems(config: Any) -> list[str]:
    """Why a warm start that is still to be made cannot be made here; it takes GPUs of this very machine.

    The stages ask before they begin.
    """
    stages, model = config.get("stages", {}), config.actor_rollout_ref.model.path
    if model != stages.get("warm_start") or Path(model).exists() or ON_CPU in stages.warm_start_overrides:
        return []
    cuda = _too_few_here(stages.warm_start_gpus, model) or cpu_build()
    return [*([cuda] if cuda else ()), *(f"the warm start: {line}" for line in missing_packages("flash_attn"))]


def _too_few_here(wanted: int, model: str) -> str | None:
    if (here := gpus_here()) >= wanted:
        return None
    fix = (
        f"{2 ** (here.bit_length() - 1)} will do, the batch stays the same"
        if here
        else "make it where there are some, or give actor_rollout_ref.model.path a checkpoint that is warm already"
    )
    return (
        f"stages.warm_start_gpus={wanted}: {model} is still to be made, on this machine, which has {here} GPUs; {fix}"
    )


def missing_packages(*modules: str) -> list[str]:
    """Of the modules of `PACKAGES`, those not installed: one line each, with the command."""
    return [PACKAGES[module] for module in modules if importlib.util.find_spec(module) is None]


def cpu_build() -> str | None:
    """Why torch cannot use the GPUs of this machine; None where it can, and where there are none."""
    import torch

    if not gpus_here() or torch.cuda.is_available():
        return None
    return (
        f"torch {importlib.metadata.version('torch')} finds no CUDA, though nvidia-smi lists GPUs: pip install "
        f"--no-build-isolation '{DISTRIBUTION}[gpu]' in an environment without the CPU's torch"
    )


def _package_problems(config: Any) -> Iterator[str]:
    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    if rollout.name == "vllm":
        yield from (f"actor_rollout_ref.rollout.name=vllm: {line}" for line in missing_packages("vllm"))
    attention = model.override_config.get("attn_implementation", "flash_attention_2")  # as verl reads it
    if attention == "flash_attention_2":
        key = "actor_rollout_ref.model.override_config.attn_implementation"
        yield from (f"{key}={attention}: {line}" for line in missing_packages("flash_attn"))
