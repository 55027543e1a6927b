"""The advantage estimator `cgrpo`: verl calls it with rewards and masks, the trainer says how to compute it.

verl gives an estimator the summed reward only. The trainer therefore puts its step where the estimator finds it: a
context variable, set for the duration of one `_compute_advantage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from easyr1_fgrpo.algorithm import ConstrainedAdvantage
from easyr1_fgrpo.verl_plugin.names import ESTIMATOR


@dataclass
class Handover:
    """What the trainer hands to the estimator, and the result on the way back."""

    compute: Callable[[Tensor], ConstrainedAdvantage]
    result: ConstrainedAdvantage | None = None


_HANDOVER: ContextVar[Handover] = ContextVar("fgrpo_handover")


@contextmanager
def handed_over(compute: Callable[[Tensor], ConstrainedAdvantage]) -> Iterator[Handover]:
    """Let `cgrpo` compute this step's advantage while the context lasts.

    Args:
        compute: from the (B, T) response mask to the advantage.
    """
    handover = Handover(compute)
    token = _HANDOVER.set(handover)
    try:
        yield handover
    finally:
        _HANDOVER.reset(token)


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
        Advantages and returns, both (B, T) and equal: one value per rollout over its response tokens, at the sentence
        level one per token.

    Raises:
        RuntimeError: when no trainer handed over its step.
    """
    handover = _HANDOVER.get(None)
    if handover is None:
        raise RuntimeError(
            f"algorithm.adv_estimator={ESTIMATOR} needs trainer.v1.trainer_mode=fgrpo, which hands it the signals"
        )
    handover.result = handover.compute(response_mask)
    return handover.result.advantages, handover.result.advantages
