"""Batches, ranks and lengths of a run on EasyR1 that do not agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def size_problems(config: Any) -> Iterator[str]:
    """One line for each, with what fits.

    Args:
        config: the whole one, its numbers numbers.
    """
    yield from _batch_problems(config)
    yield from _rank_problems(config)
    yield from _length_problems(config)


def _batch_problems(config: Any) -> Iterator[str]:
    data, actor, n = config.data, config.worker.actor, config.worker.rollout.n
    prompts, update = data.rollout_batch_size, actor.global_batch_size
    if prompts % update:
        yield f"worker.actor.global_batch_size={update}: must divide data.rollout_batch_size={prompts}"
    micro = actor.micro_batch_size_per_device_for_experience
    if (prompts * n) % micro:
        yield (
            f"worker.actor.micro_batch_size_per_device_for_experience={micro}: must divide the {prompts * n} rollouts "
            f"of a step ({prompts} prompts x {n})"
        )
    at_a_time, most = data.mini_rollout_batch_size, config.trainer.max_try_make_batch
    if at_a_time is None:
        return
    if prompts % at_a_time:
        yield (
            f"data.mini_rollout_batch_size={at_a_time}: must divide data.rollout_batch_size={prompts}, or EasyR1 "
            "throws away what is too much"
        )
    elif 0 < most < prompts // at_a_time:
        yield (
            f"trainer.max_try_make_batch={most}: a step takes {prompts // at_a_time} generations "
            f"(data.rollout_batch_size={prompts} by data.mini_rollout_batch_size={at_a_time}); raise it, or -1"
        )


def _rank_problems(config: Any) -> Iterator[str]:
    actor, rollout = config.worker.actor, config.worker.rollout
    ranks, n = config.trainer.nnodes * config.trainer.n_gpus_per_node, rollout.n
    for key, size in (
        ("worker.rollout.tensor_parallel_size", rollout.tensor_parallel_size),
        ("worker.actor.ulysses_size", actor.ulysses_size),
    ):
        if ranks % size:
            yield f"{key}={size}: must divide the {ranks} GPUs (trainer.nnodes x trainer.n_gpus_per_node)"
    at_a_time = config.data.mini_rollout_batch_size
    key, prompts = "data.mini_rollout_batch_size", at_a_time
    if at_a_time is None:
        key, prompts = "data.rollout_batch_size", config.data.rollout_batch_size
    if prompts % ranks:
        yield f"{key}={prompts}: must be a multiple of the {ranks} GPUs, among which EasyR1 deals out the prompts"
    update, micro = actor.global_batch_size * n, actor.micro_batch_size_per_device_for_update
    shares = max(1, ranks // actor.ulysses_size)
    if update % shares:
        yield (
            f"worker.actor.global_batch_size={actor.global_batch_size}: its {update} rollouts (x {n}) do not divide "
            f"over {shares} ranks"
        )
    elif (update // shares) % micro:
        yield (
            f"worker.actor.micro_batch_size_per_device_for_update={micro}: must divide the {update // shares} rollouts "
            f"of a rank's update (worker.actor.global_batch_size={actor.global_batch_size} x {n} over {shares} ranks)"
        )
    elif actor.fsdp.enable_cpu_offload and update // shares != micro:
        yield (
            "worker.actor.fsdp.enable_cpu_offload=true: EasyR1 has it without gradient accumulation only; say "
            "worker.actor.offload.offload_params=true worker.actor.offload.offload_optimizer=true instead"
        )


def _length_problems(config: Any) -> Iterator[str]:
    data, rollout = config.data, config.worker.rollout
    longest = data.max_prompt_length + data.max_response_length
    for key in ("max_num_batched_tokens", "max_model_len"):
        if (room := rollout[key]) is not None and room < longest:
            yield (
                f"worker.rollout.{key}={room}: less than data.max_prompt_length + data.max_response_length = {longest}"
            )
