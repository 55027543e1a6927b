"""What the sections of the findings count with: the records of runs, and numbers as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER
from easyr1_fgrpo.statistics import Estimate, student
from easyr1_fgrpo.study.records import Record

LAST = 50
"""Steps at the end of a run over which its scores are averaged."""

CLOSE = 0.02
"""A level counts as met from below, and as hit, when it is missed by no more than this."""


class Runs:
    """Finished runs.

    Args:
        records: in any order.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = {(record.arm, record.seed): record for record in records}

    def of(self, arm: str, seeds: Sequence[int] | None = None) -> list[Record]:
        """The runs of an arm, by seed; those of `seeds` where given."""
        found = sorted(seed for name, seed in self._records if name == arm and (seeds is None or seed in seeds))
        return [self._records[arm, seed] for seed in found]

    def one(self, arm: str, seed: int = 0) -> Record | None:
        """The run of an arm with a seed; None where it is missing."""
        return self._records.get((arm, seed))

    def all(self, arms: Iterable[str], seeds: Sequence[int] | None = None) -> list[Record]:
        """The runs of several arms."""
        return [record for arm in arms for record in self.of(arm, seeds)]

    def pairs(self, arm: str, other: str) -> list[tuple[Record, Record]]:
        """The runs of two arms that share a seed."""
        return [(record, theirs) for record in self.of(arm) if (theirs := self.one(other, record.seed))]


def measured(record: Record, measure: str, mode: Mode = Mode.SAMPLED) -> float:
    """A measure over the test questions after RL, in [0, 1].

    Raises:
        ValueError: when the run has no value for it.
    """
    estimate = record.measured[AFTER][mode].get(measure)
    if estimate is None or estimate.value is None:
        raise ValueError(f"{record.arm}, seed {record.seed}: {measure} was not measured, {mode}")
    return estimate.value


def consistency(record: Record, mode: Mode = Mode.SAMPLED) -> float:
    """Share of the test questions' traces that entail their answer, right or wrong, in [0, 1]."""
    return 1.0 - measured(record, "inconsistency", mode)


def last_mean(record: Record, metric: str, steps: int = LAST) -> float | None:
    """The mean of a training metric over the last steps at which it was measured; None where it never was."""
    values = [value for value in record.training.get(metric, ())[-steps:] if value is not None]
    return fmean(values) if values else None


def last_score(record: Record, signal: str) -> float | None:
    """What a signal measured at the end of training, over the rollouts it applies to, in [0, 1]; constrained or not."""
    return last_mean(record, f"fgrpo/signals/{signal}/mean")


def over_seeds(values: Iterable[float]) -> Estimate:
    """Mean over seeds with Student's 95 % interval."""
    return student(list(values))


def seeds_named(seeds: Sequence[int]) -> str:
    """Seeds as they stand in a sentence."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage, without the sign."""
    return "not measured" if value is None else f"{100 * value:.{digits}f}"


def with_interval(estimate: Estimate, *, signed: bool = False) -> str:
    """A share or a difference of shares in points, with its interval."""
    if estimate.value is None:
        return "not measured"
    sign = "+" if signed else ""
    text = f"{100 * estimate.value:{sign}.1f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f})"


def decided(estimate: Estimate) -> bool:
    """Whether an interval leaves out 0."""
    return estimate.low is not None and estimate.high is not None and not estimate.low <= 0.0 <= estimate.high
