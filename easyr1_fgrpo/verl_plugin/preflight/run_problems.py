"""What a run is refused for whatever the machine: the one list that `plan`, `stages` and `train` go by."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from easyr1_fgrpo.verl_plugin.preflight.counts import GIB
from easyr1_fgrpo.verl_plugin.preflight.numbers import number_problems
from easyr1_fgrpo.verl_plugin.preflight.shape import memory_of, shape_of

NO_JUDGE = "~judge"
"""Hydra's word for leaving a group out; the warm start alone needs no judge."""


def run_problems(config: Any, *, files: bool, judges: bool = True) -> list[str]:
    """Everything wrong with a composed config, one line each: key, value and the fix.

    Args:
        config: the whole composed config, its key `fgrpo` valid.
        files: whether checkpoint and data must be here.
        judges: whether each question must have its judge.
    """
    if wrong := list(number_problems(config)):
        return wrong  # every other check counts with them
    if config.trainer.device == "cpu":
        os.environ["VERL_PLATFORM"] = "cpu"  # before verl is imported: it resolves its platform once
    os.environ.setdefault("VERL_LOGGING_LEVEL", "WARNING")
    from easyr1_fgrpo.verl_plugin.preflight.checks import training_problems

    ours = training_problems(config, files=files, judges=judges)
    return [*ours, *_verl_problems(config, ours), *_room_problems(config)]


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


def _room_problems(config: Any) -> Iterator[str]:
    shape, rollout = shape_of(config), config.actor_rollout_ref.rollout
    if shape is None or rollout.name != "vllm" or config.trainer.device != "cuda":
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
