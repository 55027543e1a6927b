"""How the judges did in a step: what is logged, and whether their verdicts are enough to move a multiplier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from easyr1_fgrpo.judges.protocol import Question
from easyr1_fgrpo.rewards import JUDGE_COUNTS, Reason

JUDGE_FAILURES = tuple(
    reason.name.lower() for reason in (Reason.JUDGE_UNREACHABLE, Reason.JUDGE_DEADLINE, Reason.JUDGE_INVALID)
)
_SUMS = ("calls", "retries", "prompt_tokens", "completion_tokens", "dollars")


def judge_metrics(rollouts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums, shares and waits per question, over rollouts as the reward worker reported them.

    Args:
        rollouts: `RolloutScore.to_numbers` of each.

    Returns:
        Per question `<question>/verdicts` and, where there are any: the shares of them that are valid, cached and (for
        consistency) uncertain, `<question>/..._share`; the sums of calls, retries, tokens and dollars; and
        `<question>/wait_s/p50` and `p95`, quantiles over rollouts of the longest wait for one of its verdicts, seconds.
    """
    metrics: dict[str, float] = {}
    for question in Question:
        total = {count: _total(rollouts, question, count) for count in JUDGE_COUNTS}
        metrics[f"{question}/verdicts"] = total["verdicts"]
        if not total["verdicts"]:
            continue
        metrics |= {
            f"{question}/valid_share": 1.0 - total["failures"] / total["verdicts"],
            f"{question}/cached_share": total["cached"] / total["verdicts"],
        }
        if question is Question.CONSISTENCY:
            metrics[f"{question}/uncertain_share"] = total["uncertain"] / total["verdicts"]
        metrics |= {f"{question}/{count}": total[count] for count in _SUMS}
        waits = [wait for row in rollouts if math.isfinite(wait := row.get(f"judge_{question}_wait_s", math.nan))]
        metrics |= {f"{question}/wait_s/p{p}": float(np.percentile(waits, p)) for p in (50, 95) if waits}
    return metrics


def _total(rollouts: Sequence[Mapping[str, float]], question: Question, count: str) -> float:
    return math.fsum(row.get(f"judge_{question}_{count}", 0.0) for row in rollouts)


def valid_share(mask_B: Tensor, reasons: Mapping[str, int]) -> float | None:
    """Of the rollouts that a constraint applies to, the share that its judge measured.

    Args:
        mask_B: (B,) boolean, where the signal has a value that counts.
        reasons: how many of the other rollouts lack it, by reason.

    Returns:
        A share in [0, 1]; None where no rollout was to be measured.
    """
    measured, lost = int(mask_B.sum()), sum(reasons.get(reason, 0) for reason in JUDGE_FAILURES)
    return measured / (measured + lost) if measured + lost else None
