"""Numbers with 95 % intervals: shares, means, paired differences, agreement. A number over nothing is None, never 0.

Intervals: Wilson for shares, seeded percentile bootstraps for means and agreement, Student's t over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import binomtest, bootstrap, t

RESAMPLES = 2000
"""Of every bootstrap."""

MOST_UNDEFINED = 0.05
"""Share of resamples without a value above which there is no interval: the rest would be a choice."""

Counts = NDArray[np.int64]


class Estimate(BaseModel):
    """A measured number with its 95 % interval.

    Attributes:
        value: None when there was nothing to measure.
        low, high: ends of the interval; None where there is none (a mean over nothing or over equal values).
        n: how many were measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(ge=0)


def share(hits: Iterable[bool]) -> Estimate:
    """A share of yes among yes and no, with Wilson's interval."""
    values = list(hits)
    if not values:
        return Estimate(value=None, low=None, high=None, n=0)
    test = binomtest(sum(values), len(values))
    interval = test.proportion_ci(method="wilson")
    return Estimate(value=float(test.statistic), low=float(interval.low), high=float(interval.high), n=len(values))


def mean(values: Iterable[float | None], seed: int = 0) -> Estimate:
    """A mean over the values there are, with a seeded percentile bootstrap over them.

    Equal values have no interval: resampling them would claim a certainty that a few equal values do not give.
    """
    measured = np.array([value for value in values if value is not None], dtype=np.float64)
    if len(np.unique(measured)) < 2:
        return Estimate(value=float(measured[0]) if len(measured) else None, low=None, high=None, n=len(measured))
    rng = np.random.default_rng(seed)
    interval = bootstrap(
        (measured,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile", rng=rng
    ).confidence_interval
    return Estimate(value=float(measured.mean()), low=float(interval.low), high=float(interval.high), n=len(measured))


def paired_difference(pairs: Iterable[tuple[float | None, float | None]], seed: int = 0) -> Estimate:
    """Mean of second minus first over the pairs with both values, bootstrapped over pairs."""
    return mean((None if a is None or b is None else b - a for a, b in pairs), seed)


def mean_of_means(samples: Sequence[Sequence[float]], seed: int = 0) -> Estimate:
    """The mean of the samples' means with a seeded percentile bootstrap within each; n counts values."""
    n = sum(map(len, samples))
    if not samples or not all(samples):
        return Estimate(value=None, low=None, high=None, n=n)
    arrays = [np.array(sample) for sample in samples]
    value = float(np.mean([array.mean() for array in arrays]))
    if all(len(np.unique(array)) < 2 for array in arrays):
        return Estimate(value=value, low=None, high=None, n=n)
    interval = bootstrap(
        [np.repeat(array, 2) if len(array) == 1 else array for array in arrays],  # scipy wants two values at least
        _mean_of_means,
        n_resamples=RESAMPLES,
        batch=100,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value=value, low=float(interval.low), high=float(interval.high), n=n)


def mcnemar(pairs: Sequence[tuple[float, float]]) -> float:
    """Exact two-sided p of "either model is as likely to be the only one with a yes"; 1 when they never differ."""
    only_first = sum(a > b for a, b in pairs)
    only_second = sum(b > a for a, b in pairs)
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def student(values: Sequence[float]) -> Estimate:
    """Mean with Student's 95 % interval; none over fewer than two values, or equal ones."""
    n = len(values)
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0)
    middle, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    if error == 0.0:
        return Estimate(value=middle, low=None, high=None, n=n)
    reach = float(t.ppf(0.975, n - 1)) * error
    return Estimate(value=middle, low=middle - reach, high=middle + reach, n=n)


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


def of_counts(by_record: Counts, statistic: Callable[[NDArray[Any]], float | None], seed: int) -> Estimate:
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
    low, high = _percentiles(_resampled(by_record, statistic, seed))
    return Estimate(value=value, low=low, high=high, n=n_items)


def _mean_of_means(*samples: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    means: NDArray[np.float64] = np.mean([sample.mean(axis=axis) for sample in samples], axis=0)
    return means


def _resampled(
    by_record: Counts, statistic: Callable[[NDArray[Any]], float | None], seed: int
) -> Sequence[float | None]:
    rng = np.random.default_rng(seed)
    n, shape = len(by_record), by_record.shape[1:]
    flat = by_record.reshape(n, -1)
    return [
        statistic((np.bincount(rng.integers(n, size=n), minlength=n) @ flat).reshape(shape)) for _ in range(RESAMPLES)
    ]


def _percentiles(resampled: Sequence[float | None]) -> tuple[float | None, float | None]:
    defined = [value for value in resampled if value is not None]
    if len(defined) < (1 - MOST_UNDEFINED) * len(resampled) or math.isclose(min(defined), max(defined)):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
