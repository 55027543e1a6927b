"""`fgrpo plan`: what a run would do and take, and everything wrong with it, before a GPU is used.

Composes the config, checks it as training will (verl's own validation included), and prints steps, rollouts, judge
calls, memory and disk. All problems are named at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from easyr1_fgrpo.config.load import ConfigError, load_config, read_settings
from easyr1_fgrpo.config.schema import FgrpoConfig
from easyr1_fgrpo.verl_plugin.preflight.counts import GIB, Assumptions, counts
from easyr1_fgrpo.verl_plugin.preflight.gpus import Offered, offered
from easyr1_fgrpo.verl_plugin.preflight.machine import machine_problems
from easyr1_fgrpo.verl_plugin.preflight.resume import resume_problems
from easyr1_fgrpo.verl_plugin.preflight.shape import memory_of, shape_of

NO_JUDGE = "~judge"
"""Hydra's word for leaving a group out."""


def plan(overrides: Sequence[str], *, files: bool, assumed: Assumptions) -> int:
    """Print the plan of a run and its problems; with an override that is refused, its problems alone.

    Args:
        overrides: Hydra overrides of the run.
        files: whether checkpoint and data must be here.
        assumed: what only a run can tell.

    Returns:
        The exit code: 1 when something is wrong.
    """
    from rich.console import Console

    config, usable, problems = _compose(overrides)
    config, settings, refused = _settings(config, usable)
    problems += refused
    set_aside = bool(problems)
    if settings is not None:
        about_judges = ("fgrpo.judges.",) if NO_JUDGE in usable else ()
        problems += [line for line in _problems(config, files) if not line.startswith(about_judges)]
        problems += _room_problems(config)
        problems += resume_problems(config) if files else []
        found, lacking = _gpus(config, settings)
        problems += lacking
        if not set_aside:  # a table without what was asked for would be another run's
            Console().print(counts(config, settings, assumed, found))
    console = Console(stderr=True)
    for problem in problems:
        console.print(f"error: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    if not problems:
        print("nothing is wrong with this plan" + ("" if files else "; checkpoint and data were not looked for"))
    return 1 if problems else 0


def _compose(overrides: Sequence[str]) -> tuple[Any, list[str], list[str]]:
    """The config of the overrides that can be composed, these overrides, and what is wrong with the others."""
    try:
        return load_config(overrides), list(overrides), []
    except ConfigError as error:
        whole = error
    usable: list[str] = []
    problems = []
    # Group choices first: other keys exist only with them.
    for override in sorted(overrides, key=lambda override: "." in override.partition("=")[0]):
        try:
            load_config([*usable, override])
        except ConfigError as error:
            problems += [f"{override}: {line}" for line in error.lines]
        else:
            usable.append(override)
    if not problems:
        raise whole
    if any(problem.startswith("judge=") for problem in problems):
        usable.append(NO_JUDGE)  # the default judge would only add more problems
    return load_config(usable), usable, problems


def _settings(config: Any, overrides: Sequence[str]) -> tuple[Any, FgrpoConfig | None, list[str]]:
    """Our own settings; where values are refused, those of the recipe without them, so that the rest is checked too."""
    try:
        return config, read_settings(config), []
    except ConfigError as error:
        problems = error.lines
    refused = tuple(problem.partition(":")[0].partition("=")[0] for problem in problems)
    usable = [override for override in overrides if not override.startswith(refused)]
    config = load_config(usable)
    try:
        return config, read_settings(config), problems
    except ConfigError:
        return config, None, problems


def _problems(config: Any, files: bool) -> Iterator[str]:
    # Before verl is imported: it resolves its platform once, and a plan needs no accelerator.
    os.environ.setdefault("VERL_PLATFORM", "cpu")
    os.environ.setdefault("VERL_LOGGING_LEVEL", "WARNING")
    from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems

    ours = training_problems(config, files=files)
    yield from ours
    yield from _verl_problems(config, ours)


def _verl_problems(config: Any, known: Sequence[str]) -> Iterator[str]:
    """What verl's own validation says; it stops at its first problem, so what is known already is left out."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    for section in ("actor", "rollout"):
        try:
            omega_conf_to_dataclass(config.actor_rollout_ref[section])
        except Exception as error:  # whatever its dataclasses raise is verl's word on the section
            yield f"actor_rollout_ref.{section}: verl says: {_one_line(error)}"
            return
    if config.actor_rollout_ref.model.lora_rank > 0 and importlib.util.find_spec("vllm") is None:
        print("not checked here: verl's validation of a low-rank adapter needs vllm")
        return
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that GRPO has no critic is meant
            validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    except Exception as error:
        if not any("batch_size" in line for line in known):
            yield f"verl says: {_one_line(error)}"


def _gpus(config: Any, settings: FgrpoConfig) -> tuple[Offered | None, list[str]]:
    """The GPUs that there are, and what is wrong with the machine; a laptop may plan what it cannot train."""
    if config.trainer.device != "cuda":
        return None, []
    try:
        found = offered()
    except ConnectionError as error:
        return None, [str(error)]
    if found is None:
        print("not checked here, as this machine has no GPU: CUDA, vllm and flash_attn, and whether the GPUs suffice")
        return None, []
    return found, machine_problems(config, settings)


def _room_problems(config: Any) -> Iterator[str]:
    shape, rollout = shape_of(config), config.actor_rollout_ref.rollout
    if shape is None or rollout.name != "vllm":
        return
    memory, total = memory_of(shape, config), config.gpu_memory_gib * GIB
    sequence = config.data.max_prompt_length + config.data.max_response_length
    if memory.kv_tokens < sequence:
        yield (
            f"actor_rollout_ref.rollout.gpu_memory_utilization={rollout.gpu_memory_utilization}: room for "
            f"{memory.kv_tokens} tokens of keys and values, a rollout may have {sequence}; raise it or "
            "actor_rollout_ref.rollout.tensor_model_parallel_size"
        )
    for what, taken in (("updating", memory.while_updating), ("rolling out", memory.while_rolling_out)):
        if taken > total:
            yield (
                f"trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}: while {what}, a GPU holds "
                f"{taken / GIB:.0f} GiB of {config.gpu_memory_gib}, activations not counted; take more GPUs, or set "
                "actor_rollout_ref.actor.fsdp_config.optimizer_offload=true and .param_offload=true"
            )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
