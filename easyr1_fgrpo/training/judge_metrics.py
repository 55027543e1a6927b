"""How the judges did in a step: what is logged, and whether their verdicts are enough to move a multiplier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from easyr1_fgrpo.judges.protocol import Question, Verdict
from easyr1_fgrpo.rewards import JUDGE_COUNTS, Reason, RolloutScore

REFUSED = Reason.JUDGE_REFUSED.name.lower()
JUDGE_FAILURES = (
    REFUSED,
    *(reason.name.lower() for reason in (Reason.JUDGE_UNREACHABLE, Reason.JUDGE_DEADLINE, Reason.JUDGE_INVALID)),
    *(reason.name.lower() for reason in (Reason.JUDGE_OVERSIZED, Reason.TOO_MANY_CLAIMS)),
)
CAUSES = {"consistency": "judge_consistency_cause", "semantic_grounding": "judge_grounding_cause"}
"""By signal, the key beside a rollout's numbers that says why its judge failed; "" where it did not."""

LENGTHS = {"few": (1, 4), "middle": (5, 8), "many": (9, math.inf)}
"""Judged sentences of a trace, first and last number."""

_SUMS = ("calls", "retries", "prompt_tokens", "completion_tokens", "dollars")


def judge_metrics(rollouts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums, shares and waits per question, over rollouts as the reward worker reported them.

    Args:
        rollouts: `RolloutScore.to_numbers` of each.

    Returns:
        Per question `<question>/verdicts` and, where there are any: the shares of them that are valid, cached and (for
        consistency) uncertain, `<question>/..._share`; the sums of calls, retries, tokens and dollars; and
        `<question>/wait_s/p50` and `p95`, quantiles over rollouts of the longest wait for one of its verdicts, seconds.
        `grounding/measured_share/few`, `middle` and `many`: of the rollouts with so many judged sentences (`LENGTHS`),
        the share without a failed verdict: long traces miss their deadline more often and so escape the constraint.
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
    for length, (first, last) in LENGTHS.items():
        failed = [row["judge_grounding_failures"] for row in rollouts if first <= _claims(row) <= last]
        if failed:
            metrics[f"grounding/measured_share/{length}"] = failed.count(0.0) / len(failed)
    return metrics


def failure_causes(score: RolloutScore) -> dict[str, str]:
    """Why judges failed on a rollout, one line each, by the keys of `CAUSES`."""
    verdicts = {"consistency": [score.consistency], "semantic_grounding": [item.verdict for item in score.sentences]}
    return {key: next(filter(None, map(_cause, verdicts[name])), "") for name, key in CAUSES.items()}


def last_causes(rollouts: Sequence[Mapping[str, Any]], most: int = 2) -> dict[str, list[str]]:
    """By signal, the last causes of failure that differ, the last one first."""
    found = {name: dict.fromkeys(row.get(key, "") for row in reversed(rollouts)) for name, key in CAUSES.items()}
    return {name: [cause for cause in causes if cause][:most] for name, causes in found.items()}


def _cause(verdict: Verdict | None) -> str:
    return " ".join(verdict.cause.split())[:300] if verdict is not None and verdict.failure is not None else ""


def _claims(row: Mapping[str, float]) -> float:
    return row.get("judge_grounding_verdicts", 0.0)


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
