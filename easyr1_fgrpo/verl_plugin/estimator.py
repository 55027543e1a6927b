"""The advantage estimator `cgrpo`: verl calls it with rewards and masks, the trainer hands it the step's signals.

verl gives an estimator the summed reward only. The trainer therefore puts the step's signals and multipliers where
the estimator finds them (a context variable, set for the duration of one `_compute_advantage`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from easyr1_fgrpo.algorithm import ConstrainedAdvantage, constrained_advantage
from easyr1_fgrpo.config.schema import AdvantageSettings
from easyr1_fgrpo.training.step_signals import StepSignals
from easyr1_fgrpo.verl_plugin.names import ESTIMATOR


@dataclass
class Handover:
    """What the trainer hands to the estimator, and the result on the way back."""

    step: StepSignals
    multipliers: dict[str, float]
    settings: AdvantageSettings
    level: Literal["outcome", "sentence"] = "outcome"
    result: ConstrainedAdvantage | None = field(default=None)


_HANDOVER: ContextVar[Handover] = ContextVar("fgrpo_handover")


@contextmanager
def handed_over(handover: Handover) -> Iterator[Handover]:
    """Let `cgrpo` find this step's signals while the context lasts."""
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
        RuntimeError: when no trainer handed over signals.
    """
    handover = _HANDOVER.get(None)
    if handover is None:
        raise RuntimeError(
            f"algorithm.adv_estimator={ESTIMATOR} needs trainer.v1.trainer_mode=fgrpo, which hands it the signals"
        )
    step, settings = handover.step, handover.settings
    names = list(handover.multipliers)
    handover.result = constrained_advantage(
        step.task_B,
        {name: step.scores[name] for name in names},
        {name: step.masks[name] for name in names},
        handover.multipliers,
        step.groups_B,
        response_mask,
        valid_B=step.valid_B,
        sentences={"semantic_grounding": step.sentences} if handover.level == "sentence" else {},
        mask_mode=settings.mask_mode,
        whiten=settings.whiten,
        min_group_valid=settings.min_group_valid,
        min_std=settings.min_std,
    )
    # A session with several outputs is judged on its last one, and all of them carry that one's advantage; judged
    # sentences are the last one's own.
    is_owner_B = step.owner_B == torch.arange(len(step.owner_B))
    others_BT = torch.where(response_mask.bool(), handover.result.whole_B[step.owner_B, None], 0.0)
    advantages = torch.where(is_owner_B[:, None], handover.result.advantages, others_BT)
    return advantages, advantages
