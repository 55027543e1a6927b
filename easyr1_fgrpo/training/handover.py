"""From a trainer to the estimator that its host calls: hosts give an estimator rewards and masks only.

The trainer therefore puts its step where the estimator finds it: a context variable, set while the host computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from easyr1_fgrpo.algorithm import ConstrainedAdvantage
from easyr1_fgrpo.host import ESTIMATOR


@dataclass
class Handover:
    """What the trainer hands to the estimator, and the last result on the way back."""

    compute: Callable[[Tensor], ConstrainedAdvantage]
    result: ConstrainedAdvantage | None = None


_HANDOVER: ContextVar[Handover] = ContextVar("fgrpo_handover")


@contextmanager
def handed_over(compute: Callable[[Tensor], ConstrainedAdvantage]) -> Iterator[Handover]:
    """Let the estimator compute with the trainer's step while the context lasts.

    Args:
        compute: from the (B, T) response mask to the advantage.
    """
    handover = Handover(compute)
    token = _HANDOVER.set(handover)
    try:
        yield handover
    finally:
        _HANDOVER.reset(token)


def handed_over_advantages(*, response_mask: Tensor, **unread: Any) -> tuple[Tensor, Tensor]:
    """The constrained advantage of a batch (FGRPO Eq. 6), as both hosts call their estimators.

    Args:
        response_mask: (B, T), 1 on response tokens.
        unread: rewards, groups and whatever else a host gives: the signals know both, with their validity.

    Returns:
        Advantages and returns, both (B, T) and equal: one value a rollout, at the sentence level one a token.

    Raises:
        RuntimeError: when no trainer handed over its step.
    """
    handover = _HANDOVER.get(None)
    if handover is None:
        raise RuntimeError(
            f"algorithm.adv_estimator={ESTIMATOR} needs the trainer of `fgrpo train`, which hands it the signals (on "
            "verl trainer.v1.trainer_mode=fgrpo)"
        )
    handover.result = handover.compute(response_mask)
    return handover.result.advantages, handover.result.advantages
