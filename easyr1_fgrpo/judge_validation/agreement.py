"""Agreement of two raters: confusion, Cohen's kappa, and intervals that resample whole records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from easyr1_fgrpo.evaluation.metrics import RESAMPLES
from easyr1_fgrpo.evaluation.results import Estimate

Counts = NDArray[np.int64]
MOST_UNDEFINED = 0.05
"""Share of resamples without a value above which there is no interval: the rest would be a choice."""


def cohen_kappa(confusion: NDArray[Any]) -> float | None:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e) (Cohen 1960).

    Args:
        confusion: counts, reference by rows and judge by columns, over the same labels.

    Returns:
        At most 1; 0 for chance. None where it is not defined: nothing was rated, or both raters gave every item one and
        the same label, so that chance alone agrees everywhere.
    """
    total = int(confusion.sum())
    agreed = int(np.trace(confusion)) * total
    by_chance = int(confusion.sum(axis=1) @ confusion.sum(axis=0))
    if by_chance == total * total:  # in integers, so that "undefined" never hides in a rounding
        return None
    return (agreed - by_chance) / (total * total - by_chance)


def agreement_share(confusion: NDArray[Any]) -> float | None:
    """The share of items with the same label; None for no items."""
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else None


def confusion_by_record(pairs: Iterable[tuple[int, int, int]], n_labels: int) -> Counts:
    """Confusion counts of each record that has any, shape (records, labels, labels).

    Args:
        pairs: record, number of the reference label, number of the judge's label.
        n_labels: how many labels there are.
    """
    by_record: dict[int, Counts] = {}
    for record, reference, label in pairs:
        by_record.setdefault(record, np.zeros((n_labels, n_labels), dtype=np.int64))[reference, label] += 1
    return np.array(list(by_record.values()), dtype=np.int64).reshape(-1, n_labels, n_labels)


def estimate(by_record: Counts, statistic: Callable[[NDArray[Any]], float | None], seed: int) -> Estimate:
    """A statistic of summed counts with its seeded 95 % percentile bootstrap over records.

    Records are resampled whole, because the sentences of one trace belong together.

    Args:
        by_record: counts, one entry per record.
        statistic: of the summed counts; None where it is not defined.
        seed: of the bootstrap.

    Returns:
        The estimate; n counts items, not records. There is no interval where every resample has the same value
        (resampling would claim a certainty that equal values do not give), or where too many have none.
    """
    n_items = int(by_record.sum())
    value = statistic(by_record.sum(axis=0))
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n_items)
    low, high = _interval(_resampled(by_record, statistic, seed))
    return Estimate(value=value, low=low, high=high, n=n_items)


def _resampled(
    by_record: Counts, statistic: Callable[[NDArray[Any]], float | None], seed: int
) -> Sequence[float | None]:
    rng = np.random.default_rng(seed)
    n, shape = len(by_record), by_record.shape[1:]
    flat = by_record.reshape(n, -1)
    return [
        statistic((np.bincount(rng.integers(n, size=n), minlength=n) @ flat).reshape(shape)) for _ in range(RESAMPLES)
    ]


def _interval(resampled: Sequence[float | None]) -> tuple[float | None, float | None]:
    defined = [value for value in resampled if value is not None]
    if len(defined) < (1 - MOST_UNDEFINED) * len(resampled) or math.isclose(min(defined), max(defined)):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
