"""The advantage estimator `cgrpo`: EasyR1 calls it with rewards and masks, the trainer says how to compute it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from verl.trainer.core_algos import register_adv_estimator

from easyr1_fgrpo.host import ESTIMATOR
from easyr1_fgrpo.training.handover import handed_over_advantages


@register_adv_estimator(ESTIMATOR)  # type: ignore[untyped-decorator]
def compute_constrained_advantage(response_mask: Tensor, **unused: Any) -> tuple[Tensor, Tensor]:
    """Constrained advantage of a batch (FGRPO Eq. 6) in EasyR1's signature.

    Args:
        response_mask: (B, T), 1 on response tokens.
        unused: rewards, groups and whatever else EasyR1 passes: the signals know both.

    Returns:
        Advantages and returns, both (B, T) and equal.

    Raises:
        RuntimeError: when no trainer handed over its step.
    """
    advantages = handed_over_advantages(
        response_mask, without="needs the trainer of `fgrpo train`, which hands it the signals"
    )
    return advantages, advantages
