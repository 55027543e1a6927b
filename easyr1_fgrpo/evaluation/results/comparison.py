"""Two models on the same items: paired differences with bootstrap intervals, McNemar's exact test, and averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from easyr1_fgrpo.evaluation.benchmarks import HASH
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.metrics import faithfulness, paired
from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.evaluation.results.results import BenchmarkResult
from easyr1_fgrpo.statistics import Estimate, mcnemar, mean_of_means

AVERAGE = "average"
"""Stands for the unweighted mean over benchmarks, as in the last column of FGRPO Table 1."""

Values = Callable[[Sequence[Outcome]], Sequence[float | bool | None]]

COMPARED: dict[str, Values] = {
    "accuracy": lambda outcomes: [outcome.accurate for outcome in outcomes],
    "accuracy_by_scorer": lambda outcomes: [outcome.accurate_by_scorer for outcome in outcomes],
    "faithful_accuracy": faithfulness,
    "inconsistency": lambda outcomes: [outcome.inconsistent for outcome in outcomes],
    "semantic_grounding": lambda outcomes: [outcome.semantic_grounding for outcome in outcomes],
    "spatial_grounding": lambda outcomes: [outcome.spatial_grounding for outcome in outcomes],
    "format": lambda outcomes: [outcome.well_formed for outcome in outcomes],
}
"""What is compared and averaged over benchmarks, by name; None is no value."""

MEANS = ("semantic_grounding", "spatial_grounding")
"""Measures that are no yes or no."""


@dataclass(frozen=True)
class Difference:
    """Second model minus first on one benchmark.

    Attributes:
        occasion: the benchmark, with its mode where that is not greedy; or `AVERAGE`.
        measure: a key of `COMPARED`.
        estimate: mean difference over the items with both values, and their number.
        p_value: McNemar's exact test (two-sided), for shares of yes and no; over all items for `AVERAGE`. None for
            other measures and where there is no pair.
    """

    occasion: str
    measure: str
    estimate: Estimate
    p_value: float | None


def differences(first: Sequence[BenchmarkResult], second: Sequence[BenchmarkResult], seed: int = 0) -> list[Difference]:
    """Second minus first on every benchmark and in every mode that both were measured in, and on their average.

    Raises:
        ValueError: when they share no item, or a file of rows was another one.
    """
    theirs = {result.occasion: result for result in second}
    for a in first:
        if a.occasion in theirs and a.data.partition(HASH)[2] != theirs[a.occasion].data.partition(HASH)[2]:
            raise ValueError(
                f"{a.model} and {theirs[a.occasion].model} were asked other questions as {a.occasion} ({a.data}; "
                f"{theirs[a.occasion].data}): these cannot be compared"
            )
    pairs = {a.occasion: paired(a.outcomes, theirs[a.occasion].outcomes) for a in first if a.occasion in theirs}
    pairs = {occasion: matched for occasion, matched in pairs.items() if matched}
    if not pairs:
        raise ValueError(f"{first[0].model} and {second[0].model} have no item in common")
    found = []
    for measure in COMPARED:
        values = {occasion: _both(matched, measure) for occasion, matched in pairs.items()}
        if not any(values.values()):
            continue
        changes = {occasion: [b - a for a, b in both] for occasion, both in values.items()}
        for occasion, both in values.items():
            found.append(_difference(occasion, measure, [changes[occasion]], both, seed))
        for name, occasions in averages([result for result in first if result.occasion in pairs]).items():
            every = [pair for occasion in occasions for pair in values[occasion]]
            found.append(_difference(name, measure, [changes[occasion] for occasion in occasions], every, seed))
    return found


def averages(results: Iterable[BenchmarkResult]) -> dict[str, list[str]]:
    """The averages over benchmarks that there are, each with its occasions: one for each mode, modes are not pooled."""
    found: dict[str, list[str]] = {}
    for result in results:
        occasions = found.setdefault(f"{AVERAGE}, {result.mode}" if result.mode is Mode.SAMPLED else AVERAGE, [])
        if result.occasion not in occasions:
            occasions.append(result.occasion)
    return {name: occasions for name, occasions in found.items() if len(occasions) > 1}


def average(results: Sequence[BenchmarkResult], measure: str, seed: int = 0) -> Estimate:
    """The unweighted mean of a measure over benchmarks; no value when one of them has none.

    The bootstrap resamples the items of each benchmark on their own.
    """
    samples = [
        [float(value) for value in COMPARED[measure](result.outcomes) if value is not None] for result in results
    ]
    return mean_of_means(samples, seed)


def _both(pairs: Sequence[tuple[Outcome, Outcome]], measure: str) -> list[tuple[float, float]]:
    """The values of the pairs that both have one."""
    first, second = (COMPARED[measure](side) for side in zip(*pairs, strict=True))
    return [(float(a), float(b)) for a, b in zip(first, second, strict=True) if a is not None and b is not None]


def _difference(
    occasion: str, measure: str, samples: Sequence[Sequence[float]], pairs: Sequence[tuple[float, float]], seed: int
) -> Difference:
    binary = measure not in MEANS and bool(pairs)
    return Difference(occasion, measure, mean_of_means(samples, seed), mcnemar(pairs) if binary else None)
