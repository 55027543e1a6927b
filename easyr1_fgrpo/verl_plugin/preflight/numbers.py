"""Keys of verl's that must be numbers of a kind; verl itself takes what it gets and fails, or trains nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf import OmegaConf

from easyr1_fgrpo.preflight.numbers import positive_problems, whole_number_problems

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
    "trainer.max_actor_ckpt_to_keep": 1,
    "seed": 0,
}
"""Whole numbers, and the least that trains something."""

_ABOVE_ZERO = (
    "actor_rollout_ref.actor.optim.lr",
    "actor_rollout_ref.rollout.temperature",
    "actor_rollout_ref.actor.clip_ratio",
    "actor_rollout_ref.rollout.top_p",
)
_AT_MOST_ONE = ("actor_rollout_ref.actor.optim.lr", "actor_rollout_ref.rollout.top_p")
_FLAGS = ("actor_rollout_ref.actor.use_kl_loss", "trainer.balance_batch")
_OR_NONE = ("trainer.total_training_steps", "trainer.max_actor_ckpt_to_keep")

_WHY = {
    "actor_rollout_ref.rollout.n": "a group of one rollout has no advantage",
    "trainer.save_freq": "without a checkpoint nothing is left of the run",
}


def number_problems(config: Any) -> Iterator[str]:
    """One line for each key that is no number, or one that trains nothing."""
    yield from whole_number_problems(config, _WHOLE, or_none=_OR_NONE, why=_WHY)
    yield from positive_problems(config, _ABOVE_ZERO, at_most_one=_AT_MOST_ONE)
    for key in _FLAGS:
        if type(value := OmegaConf.select(config, key)) is not bool:
            yield f"{key}={value}: give true or false"
    yield from _more(config)


def _more(config: Any) -> Iterator[str]:
    """Numbers of questions, a name, files without which nothing is trained, and a penalty that would reward."""
    prompts = config.data.train_batch_size
    least = {
        "data.train_max_samples": prompts if type(prompts) is int else 1,
        "data.val_max_samples": 1,
        "evaluation.samples": 1,
    }
    for key, some in least.items():
        value = OmegaConf.select(config, key, default=-1)
        everything = value == -1 and key.startswith("data.")
        if not everything and key in _present(config, least) and (type(value) is not int or value < some):
            all_of = ", or -1 for all" if key.startswith("data.") else ""
            yield f"{key}={value}: give a whole number from {some} on{all_of}"
    for key in ("data.train_files", "data.val_files"):
        if not OmegaConf.select(config, key):
            yield f"{key}={OmegaConf.select(config, key)}: name one file at least"
    name = config.trainer.experiment_name
    if not isinstance(name, str) or name.strip(" /.") == "" or ".." in name.split("/"):
        yield f"trainer.experiment_name={name}: give a name, the run's folder has it"
    coefficient = config.actor_rollout_ref.actor.kl_loss_coef
    if type(coefficient) not in (int, float) or not coefficient >= 0:
        yield f"actor_rollout_ref.actor.kl_loss_coef={coefficient}: give a number from 0 on; less rewards divergence"


def _present(config: Any, keys: Iterable[str]) -> list[str]:
    return [key for key in keys if OmegaConf.select(config, key) is not None]
