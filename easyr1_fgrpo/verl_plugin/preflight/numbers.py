"""Keys of verl's that must be numbers of a kind; verl itself takes what it gets and fails, or trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

_WHOLE = {
    "data.train_batch_size": 1,
    "data.max_prompt_length": 1,
    "data.max_response_length": 1,
    "actor_rollout_ref.rollout.n": 2,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 1,
    "trainer.n_gpus_per_node": 1,
    "trainer.nnodes": 1,
    "trainer.total_epochs": 1,
    "trainer.total_training_steps": 1,
    "trainer.save_freq": 1,
}
"""Whole numbers, and the least that trains something."""

_ABOVE_ZERO = (
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.actor.clip_ratio",
)
_OR_NONE = ("trainer.total_training_steps",)

_WHY = {
    "actor_rollout_ref.rollout.n": "a group of one rollout has no advantage",
    "trainer.save_freq": "without a checkpoint nothing is left of the run",
}


def number_problems(config: Any) -> Iterator[str]:
    """One line for each key that is no number, or one that trains nothing."""
    for key, least in _WHOLE.items():
        value = OmegaConf.select(config, key)
        if (value is None and key in _OR_NONE) or (type(value) is int and value >= least):
            continue
        why = f": {_WHY[key]}" if key in _WHY else ""
        yield f"{key}={value}: give a whole number from {least} on{why}"
    for key in _ABOVE_ZERO:
        value = OmegaConf.select(config, key)
        if type(value) not in (int, float) or not value > 0:
            yield f"{key}={value}: give a number above 0"
