"""What a run on GPUs needs of the machine: CUDA, the packages that the extra `gpu` brings, and enough GPUs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.extras import DISTRIBUTION
from easyr1_fgrpo.verl_plugin.preflight.gpus import gpus_here, offered, too_few, wanted_by

WHEELS = "https://github.com/Dao-AILab/flash-attention/releases"
PACKAGES = {
    "vllm": f"vllm is not installed: pip install --no-build-isolation '{DISTRIBUTION}[gpu]'",
    "flash_attn": (
        "flash_attn is not installed: pip install wheel ninja && pip install --no-build-isolation flash-attn==2.8.3 "
        f"(which compiles for up to an hour; a wheel for this torch and CUDA from {WHEELS} takes a minute)"
    ),
}
"""Modules that verl imports late, hours into a run -> what to do where they are missing; flash-attn as verl pins it."""


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
        cuda = cpu_build() or too_few(wanted_by(config, settings), found)
    return [*([cuda] if cuda else ()), *_package_problems(config)]


def missing_packages(*modules: str) -> list[str]:
    """Of the modules of `PACKAGES`, those not installed: one line each, with the command."""
    return [PACKAGES[module] for module in modules if importlib.util.find_spec(module) is None]


def cpu_build() -> str | None:
    """Why torch cannot use the GPUs of this machine; None where it can, or where a cluster has them."""
    import torch

    if "RAY_ADDRESS" in os.environ or not gpus_here() or torch.cuda.is_available():
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
