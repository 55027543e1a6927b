"""What a run and its warm start need of the machine: places to write, CUDA, packages of the extra `gpu`, GPUs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.extras import DISTRIBUTION
from easyr1_fgrpo.preflight.places import place_problems
from easyr1_fgrpo.verl_plugin.preflight.gpus import gpus_here, offered, too_few, wanted_by
from easyr1_fgrpo.verl_plugin.preflight.warm_start import ON_CPU, to_make

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


_PLACES = ("fgrpo.run_dir", "trainer.default_local_dir", "fgrpo.judge_cache.directory")


def machine_problems(config: Any, settings: FgrpoConfig, *, run: bool = True, warm_start: bool = True) -> list[str]:
    """What run and warm start lack on this machine, each thing once in a line; asked before anything is started.

    Args:
        config: the whole composed config.
        settings: its key `fgrpo`.
        run: whether training and its judges are to be possible here.
        warm_start: whether a warm start that is still to be made is; it takes GPUs of this very machine.
    """
    first = warm_start and to_make(config) and ON_CPU not in config.stages.warm_start_overrides
    on_gpus = run and config.trainer.device == "cuda"
    here = gpus_here()
    lines: list[str | None] = [*(place_problems(config, _PLACES) if run else ())]
    if on_gpus:
        lines.append(_too_few(config, settings))
    if first and (here or not on_gpus or "RAY_ADDRESS" in os.environ):  # without any, the line above says so
        lines.append(_too_few_here(config.stages.warm_start_gpus, here, config.actor_rollout_ref.model.path))
    if first or (on_gpus and "RAY_ADDRESS" not in os.environ):
        lines.append(cpu_build())
    wanted = dict(_packages(config)) if run else {}
    if first:
        wanted.setdefault("flash_attn", "the warm start")
    lacking = [f"{who}: {line}" for module, who in wanted.items() for line in missing_packages(module)]
    return [*filter(None, lines), *lacking]


def _too_few(config: Any, settings: FgrpoConfig) -> str | None:
    """Why the GPUs of the cluster, or of this machine, do not suffice for policy and judges."""
    try:
        found = offered()
    except ConnectionError as error:
        return str(error)
    if found is None:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        left = "" if hidden is None else f" that CUDA_VISIBLE_DEVICES={hidden} leaves"
        return (
            f"trainer.device=cuda: nvidia-smi lists no GPU on this machine{left}, and RAY_ADDRESS names no Ray cluster "
            "that has some; scale=cpu trains without"
        )
    return too_few(wanted_by(config, settings), found)


def _too_few_here(wanted: int, here: int, model: str) -> str | None:
    if here >= wanted:
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


def _packages(config: Any) -> Iterator[tuple[str, str]]:
    """Modules that the run imports late, each with the setting that wants it."""
    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    if rollout.name == "vllm":
        yield "vllm", "actor_rollout_ref.rollout.name=vllm"
    attention = model.override_config.get("attn_implementation", "flash_attention_2")  # as verl reads it
    if attention == "flash_attention_2":
        yield "flash_attn", f"actor_rollout_ref.model.override_config.attn_implementation={attention}"
