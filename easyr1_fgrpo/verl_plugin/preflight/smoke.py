"""`fgrpo smoke machine, attention, report`: the stages of recipes/gpu_smoke.sh around its short run, one line each.

On a CPU (scale=cpu) the same stages run with what there is, and the last line says that no GPU was used.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.metrics_file import read_metrics
from easyr1_fgrpo.training.canary import MAX, MEAN
from easyr1_fgrpo.verl_plugin.preflight.gpus import gpus_here
from easyr1_fgrpo.verl_plugin.preflight.machine import FLASH_ATTN, PACKAGES, cpu_build, missing_packages

VERSIONS = ("torch", "verl", "ray", "transformers", "vllm", "flash-attn")
AMPERE = 8
"""Compute capability, its first number, from which on flash-attn and bfloat16 run."""
REBUILD = (
    "build flash-attn for this torch and this card: pip install --no-build-isolation --no-cache-dir --force-reinstall "
    f"--no-deps {FLASH_ATTN}"
)
PEAK = "actor/perf/max_memory_allocated_gb"
SECONDS = "timing_s/step"


def machine(overrides: Sequence[str]) -> int:
    """Print the card and the versions.

    Args:
        overrides: Hydra overrides of the run.

    Returns:
        The exit code: 1 when the run cannot go on. A missing vllm or flash_attn is named; what there is can be tried.
    """
    config = _config(overrides)
    if config is None:
        return 1
    if config.trainer.device == "cuda" and (problem := _no_card()):
        return _wrong(problem)
    print(f"device: {_card(config)}")
    from easyr1_fgrpo.verl_plugin.preflight.doctor import registration_problems

    if problems := registration_problems():
        return _wrong(problems[0])
    print(f"packages: {', '.join(map(_version, VERSIONS))}; registered with verl", flush=True)
    return 0


def attention(overrides: Sequence[str]) -> int:
    """Compare the attention kernels on the run's own policy and traces; see preflight/attention.py.

    Args:
        overrides: Hydra overrides of the run, whose stages are made.

    Returns:
        The exit code: 1 when log-probs differ by more than rounding.
    """
    config = _config(overrides)
    if config is None:
        return 1
    if config.trainer.device == "cuda" and missing_packages("flash_attn"):
        print("attention: not compared, flash_attn is not installed")
        return 0
    from easyr1_fgrpo.verl_plugin.preflight.attention import BOUND, REFERENCE, differences
    from easyr1_fgrpo.verl_plugin.preflight.registrations import named
    from easyr1_fgrpo.verl_plugin.run.logs import logged_to

    log = Path(config.fgrpo.run_dir) / "smoke.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with logged_to(log) as terminal:  # verl, transformers and NCCL have much to say
        try:
            found = list(differences(config))
        except Exception as error:  # whatever a kernel or its build raises is what was asked for
            print(f"error: attention: {named(error)} (see {log}); {REBUILD}", file=terminal)
            return 1
    for way, mean, largest in found:
        said = f"log-probs differ from those of {REFERENCE} by {mean:.2g} in the mean, at most {largest:.2g}"
        if not mean <= BOUND:  # also when it is no number
            return _wrong(f"attention: {way}: {said}; rounding gives less than {BOUND} in the mean: {REBUILD}")
        print(f"attention: {way}: {said}", flush=True)
    return 0


def report(overrides: Sequence[str]) -> int:
    """Print what the run measured, and whether the GPU path is in order.

    Args:
        overrides: Hydra overrides of the run, which has ended.

    Returns:
        The exit code: 1 when something is wrong, which the last line says.
    """
    config = _config(overrides)
    if config is None:
        return 1
    steps = read_metrics(Path(config.fgrpo.run_dir) / "metrics.jsonl")
    seconds = ", ".join(f"{metrics[SECONDS]:.1f}" for _, metrics in sorted(steps.items()))
    peak, mean, largest = (max(metrics[key] for metrics in steps.values()) for key in (PEAK, MEAN, MAX))
    rollout = config.actor_rollout_ref.rollout
    share = f", vLLM {rollout.gpu_memory_utilization:.0%} of the GPU" if rollout.name == "vllm" else ""
    print(f"steps: {seconds} s on {_card(config)}; the trainer held {peak:.1f} GiB at most{share}")
    print(
        f"canary: token probabilities in {rollout.name} and in the trainer differ by {mean:.2g} in the mean, at most "
        f"{largest:.2g}; a mean above {config.fgrpo.max_probs_difference} would have stopped the run"
    )
    if config.trainer.device != "cuda":
        print("CPU path: ok; no GPU was used")
        return 0
    if lacking := missing_packages(*PACKAGES):
        return _wrong(lacking[0])
    print("GPU path: ok")
    return 0


def _config(overrides: Sequence[str]) -> Any:
    """The composed config; None after its errors were printed."""
    try:
        config = load_config(overrides)
        read_settings(config)
    except ConfigError as error:
        for line in error.lines:
            _wrong(line)
        return None
    if config.trainer.device == "cpu":
        os.environ["VERL_PLATFORM"] = "cpu"  # before verl is imported: it resolves its platform once
    os.environ.setdefault("VERL_LOGGING_LEVEL", "WARNING")
    return config


def _no_card() -> str | None:
    """Why no GPU of this machine can be trained on; None where one can."""
    if not gpus_here():
        return (
            "no GPU: nvidia-smi lists none here, or CUDA_VISIBLE_DEVICES hides it; what needs none: "
            "bash recipes/gpu_smoke.sh scale=cpu"
        )
    if problem := cpu_build():
        return problem
    import torch

    card = torch.cuda.get_device_properties(0)
    if card.major < AMPERE:
        return (
            f"{card.name} has compute capability {card.major}.{card.minor}: flash-attn and bfloat16 need {AMPERE}.0 or "
            "more (A100, RTX 30, or newer)"
        )
    return None


def _card(config: Any) -> str:
    if config.trainer.device != "cuda":
        return "the CPU"
    import torch

    card = torch.cuda.get_device_properties(0)
    return f"{card.name}, {card.total_memory / 2**30:.0f} GiB"


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} not installed"


def _wrong(problem: str) -> int:
    sys.stdout.flush()
    print(f"error: {problem}", file=sys.stderr)
    return 1
