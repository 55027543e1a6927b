"""The task reward, the scalar rewards of the paper's additive and multiplicative baselines, and a weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from easyr1_fgrpo.rewards.rollout import CORRECT_ONLY, TASK, RolloutScore
from easyr1_fgrpo.rewards.signal import NOT_MEASURED, Reason, Signal

TaskRule = Literal["weighted", "additive", "multiplicative"]


def task_reward(
    rule: TaskRule, *, well_formed: bool, accurate: bool, consistency: Signal, spatial_grounding: Signal
) -> Signal:
    """R_task of one rollout.

    weighted 0.5 R_acc + 0.5 R_fmt; additive 1/3 R_acc + 1/3 R_acc R_C + 1/3 R_fmt R_G; multiplicative 0.5 R_acc R_C +
    0.5 R_fmt R_G. Missing parts: R_acc = 0 makes R_acc R_C zero; without ground-truth boxes R_fmt R_G is R_fmt; a right
    answer without a trace has R_C = 0, as nothing entails it.

    Args:
        rule: which of the three.
        well_formed: R_fmt.
        accurate: R_acc.
        consistency: R_C; read by additive and multiplicative where `accurate`.
        spatial_grounding: R_G; read by additive and multiplicative.

    Returns:
        A reward in [0, 1], or the failure that kept R_C from being measured: a failed judge makes the rollout invalid.
    """
    acc, fmt = float(accurate), float(well_formed)
    if rule == "weighted":
        return Signal(0.5 * acc + 0.5 * fmt)
    if accurate and not consistency.valid and consistency.reason is not Reason.UNPARSABLE:
        return Signal.absent(consistency.reason)
    acc_c = acc * (consistency.value or 0.0)
    fmt_g = fmt if spatial_grounding.value is None else fmt * spatial_grounding.value
    if rule == "additive":
        return Signal((acc + acc_c + fmt_g) / 3)
    return Signal(0.5 * acc_c + 0.5 * fmt_g)


def with_weighted_sum(score: RolloutScore, weights: Mapping[str, float]) -> RolloutScore:
    """A rollout's score whose task reward is the weighted mean (R_task + sum_k w_k m_k R_k) / (1 + sum_k w_k).

    The mean instead of the sum keeps it in [0, 1]; a group's normalisation takes the factor out again. A signal that
    does not apply (mask m_k = 0, as for a constraint) adds nothing. One that could not be measured makes the rollout
    invalid: a failed judge is no number.

    Args:
        score: with every signal, custom ones included.
        weights: w_k by signal, at least 0; empty leaves the score as it is, and 0 leaves a signal out.
    """
    task = score.signals[TASK]
    if not weights or task.value is None:
        return score
    accurate = score.signals["accuracy"].value == 1.0
    total = task.value
    for name, weight in weights.items():
        signal = score.signals[name]
        if not weight or (name in CORRECT_ONLY and not accurate):
            continue
        if signal.reason in NOT_MEASURED:
            return replace(score, signals={**score.signals, TASK: Signal.absent(signal.reason)})
        total += weight * (signal.value or 0.0)
    mean = min(total / (1.0 + sum(weights.values())), 1.0)
    return replace(score, signals={**score.signals, TASK: Signal(mean)})
