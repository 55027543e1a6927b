"""What is logged of a validation: the mean of every signal over the rollouts that have it, and how the judges did."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from easyr1_fgrpo.rewards import Reason
from easyr1_fgrpo.training.judge_metrics import CAUSES, JUDGE_FAILURES, judge_metrics, last_causes
from easyr1_fgrpo.training.unmeasured import GOOD_SHARE

logger = logging.getLogger(__name__)


def validation_metrics(
    number: int, columns: Mapping[str, Sequence[Any]], signal_names: Iterable[str]
) -> dict[str, float]:
    """Count and mean of every signal; wrong rollouts that were judged count too, as validation asks about all.

    A signal that its judge measured on less than `GOOD_SHARE` of the rollouts is warned of; its mean is the others'.

    Args:
        number: of the training step.
        columns: what was scored for all rollouts (`RolloutScorer.score`), by key; None where nothing was.
        signal_names: the signals, "task" excepted.

    Returns:
        Per signal `fgrpo/val/<name>/measured` and, where that is not 0, `fgrpo/val/<name>/mean`; where a judge was
        asked, `fgrpo/val/<name>/valid_share`; and `judge_metrics` under `fgrpo/val/judges/`.
    """
    asked = {key: values for key, values in columns.items() if key.startswith("judge_")}
    rows = [
        {key: value for key, value in zip(asked, values, strict=True) if value is not None}
        for values in zip(*asked.values(), strict=True)
    ]
    metrics = {f"fgrpo/val/judges/{key}": value for key, value in judge_metrics(rows).items()}
    for name in signal_names:
        reasons = [
            Reason.MISSING if reason is None else Reason(int(reason)) for reason in columns.get(f"{name}_reason", ())
        ]
        pairs = zip(columns.get(name, ()), reasons, strict=True)
        values = [value for value, reason in pairs if reason is Reason.NONE]
        metrics[f"fgrpo/val/{name}/measured"] = len(values)
        if values:
            metrics[f"fgrpo/val/{name}/mean"] = sum(values) / len(values)
        failures = Counter(key for reason in reasons if (key := reason.name.lower()) in JUDGE_FAILURES)
        if name not in CAUSES or not (values or failures):
            continue
        share = metrics[f"fgrpo/val/{name}/valid_share"] = len(values) / (len(values) + failures.total())
        if share < GOOD_SHARE:
            last = "; ".join(last_causes(rows)[name]) or "none known"
            logger.warning(
                "validation at step %d: the judge measured %s on %.1f%% of its rollouts (%s; its last causes: %s)",
                number, name, 100 * share, dict(failures), last,
            )  # fmt: skip
    return metrics
