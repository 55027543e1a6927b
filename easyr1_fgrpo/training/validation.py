"""What is logged of a validation: the mean of every signal over the rollouts that have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from easyr1_fgrpo.rewards import Reason


def validation_means(columns: Mapping[str, Sequence[float]], signal_names: Iterable[str]) -> dict[str, float]:
    """Count and mean of every signal; wrong rollouts that were judged count too, as validation asks about all.

    Args:
        columns: the numbers of all rollouts (`RolloutScore.to_numbers`), by key.
        signal_names: the signals, "task" excepted.

    Returns:
        Per signal `fgrpo/val/<name>/measured` and, where that is not 0, `fgrpo/val/<name>/mean`.
    """
    metrics: dict[str, float] = {}
    for name in signal_names:
        pairs = zip(columns.get(name, ()), columns.get(f"{name}_reason", ()), strict=True)
        values = [value for value, reason in pairs if reason == Reason.NONE]
        metrics[f"fgrpo/val/{name}/measured"] = len(values)
        if values:
            metrics[f"fgrpo/val/{name}/mean"] = sum(values) / len(values)
    return metrics
