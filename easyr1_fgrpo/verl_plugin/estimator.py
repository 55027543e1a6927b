"""The advantage estimator `cgrpo`: verl calls it with rewards and masks, the trainer says how to compute it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.training.handover import handed_over_advantages


@register_adv_est(ESTIMATOR)  # type: ignore[untyped-decorator]
def compute_constrained_advantage(
    token_level_rewards: Tensor, response_mask: Tensor, config: Any = None, index: Any = None, **unused: Any
) -> tuple[Tensor, Tensor]:
    """Constrained advantage of a batch (FGRPO Eq. 6) in verl's signature.

    Args:
        token_level_rewards: (B, T), not read: the task reward comes with the signals, with its validity.
        response_mask: (B, T), 1 on response tokens.
        config: verl's algorithm config, not read.
        index: group of each row, not read: the signals know their groups.
        unused: whatever else verl passes.

    Returns:
        Advantages and returns, both (B, T) and equal.

    Raises:
        RuntimeError: when no trainer handed over its step.
    """
    advantages = handed_over_advantages(
        response_mask, without="needs trainer.v1.trainer_mode=fgrpo, which hands it the signals"
    )
    return advantages, advantages
