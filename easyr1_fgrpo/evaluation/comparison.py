"""Two models on the same items: paired differences with bootstrap intervals, McNemar's exact test, and averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from easyr1_fgrpo.evaluation.benchmark_results import BenchmarkResult
from easyr1_fgrpo.evaluation.metrics import paired
from easyr1_fgrpo.evaluation.results import Outcome
from easyr1_fgrpo.statistics import Estimate, mcnemar, mean_of_means

AVERAGE = "average"
"""Stands for the unweighted mean over benchmarks, as in the last column of FGRPO Table 1."""

Value = Callable[[Outcome], float | bool | None]

MEASURES: dict[str, Value] = {
    "accuracy": lambda outcome: outcome.accurate,
    "accuracy_by_scorer": lambda outcome: outcome.accurate_by_scorer,
    "faithful_accuracy": lambda outcome: outcome.faithful,
    "inconsistency": lambda outcome: outcome.inconsistent,
    "semantic_grounding": lambda outcome: outcome.semantic_grounding,
}
"""What is averaged over benchmarks and compared, by name; None is no value."""


@dataclass(frozen=True)
class Difference:
    """Second model minus first on one benchmark.

    Attributes:
        benchmark: its name, or `AVERAGE`.
        measure: a key of `MEASURES`.
        estimate: mean difference over the items with both values, and their number.
        p_value: McNemar's exact test (two-sided), for shares of yes and no; over all items for `AVERAGE`. None for
            other measures and where there is no pair.
    """

    benchmark: str
    measure: str
    estimate: Estimate
    p_value: float | None


def differences(first: Sequence[BenchmarkResult], second: Sequence[BenchmarkResult], seed: int = 0) -> list[Difference]:
    """Second minus first on every benchmark that both were measured on, and on their average.

    Raises:
        ValueError: when they share no item.
    """
    theirs = {result.benchmark: result for result in second}
    pairs = {a.benchmark: paired(a.outcomes, theirs[a.benchmark].outcomes) for a in first if a.benchmark in theirs}
    pairs = {benchmark: matched for benchmark, matched in pairs.items() if matched}
    if not pairs:
        raise ValueError(f"{first[0].model} and {second[0].model} have no item in common")
    found = []
    for measure in MEASURES:
        values = {benchmark: _both(matched, measure) for benchmark, matched in pairs.items()}
        if not any(values.values()):
            continue
        changes = {benchmark: [b - a for a, b in both] for benchmark, both in values.items()}
        for benchmark, both in values.items():
            found.append(_difference(benchmark, measure, [changes[benchmark]], both, seed))
        if len(pairs) > 1:
            every = [pair for both in values.values() for pair in both]
            found.append(_difference(AVERAGE, measure, list(changes.values()), every, seed))
    return found


def average(results: Sequence[BenchmarkResult], measure: str, seed: int = 0) -> Estimate:
    """The unweighted mean of a measure over benchmarks; no value when one of them has none.

    The bootstrap resamples the items of each benchmark on their own.
    """
    samples = [
        [float(value) for outcome in result.outcomes if (value := MEASURES[measure](outcome)) is not None]
        for result in results
    ]
    return mean_of_means(samples, seed)


def _both(pairs: Sequence[tuple[Outcome, Outcome]], measure: str) -> list[tuple[float, float]]:
    """The values of the pairs that both have one."""
    value = MEASURES[measure]
    found = [(value(a), value(b)) for a, b in pairs]
    return [(float(a), float(b)) for a, b in found if a is not None and b is not None]


def _difference(
    benchmark: str, measure: str, samples: Sequence[Sequence[float]], pairs: Sequence[tuple[float, float]], seed: int
) -> Difference:
    binary = measure != "semantic_grounding" and bool(pairs)
    return Difference(benchmark, measure, mean_of_means(samples, seed), mcnemar(pairs) if binary else None)
