"""What the sections of the findings count with: the records of runs, and numbers as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
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
        """The runs of two arms that share a seed and its warm start."""
        found = [(record, theirs) for record in self.of(arm) if (theirs := self.one(other, record.seed))]
        return [pair for pair in found if same_start(*pair)]


def start_of(record: Record) -> tuple[float | None, ...]:
    """What its warm start measured; unequal where another kind of processor made, and rounded, the same seed's."""
    return tuple(record.measured[BEFORE][mode]["accuracy"].value for mode in Mode)


def same_start(*records: Record | None) -> bool:
    """Whether all are there and began with one warm start: only then is what differs later the arms' doing."""
    return all(records) and len({start_of(record) for record in records if record}) == 1


def measured(record: Record, measure: str, mode: Mode = Mode.SAMPLED) -> float:
    """A measure over the test questions after RL, in [0, 1].

    Raises:
        ValueError: when the run has no value for it.
    """
    estimate = record.measured[AFTER][mode].get(measure)
    if estimate is None or estimate.value is None:
        raise ValueError(
            f"{record.arm}-s{record.seed}.json: {measure} was not measured, {mode}; make the run again: bash "
            f"recipes/run_miniature_study.sh --arms {record.arm} --seeds {record.seed}"
        )
    return estimate.value


def measured_mean(records: Sequence[Record], measure: str) -> float:
    """The mean of a measure over runs, sampled, in [0, 1].

    Raises:
        ValueError: when a run has no value for it.
    """
    return fmean(measured(record, measure) for record in records)


def consistency(record: Record, mode: Mode = Mode.SAMPLED) -> float:
    """Share of the test questions' traces that entail their answer, right or wrong, in [0, 1]."""
    return 1.0 - measured(record, "inconsistency", mode)


def last_mean(record: Record, metric: str, steps: int = LAST) -> float | None:
    """The mean of a training metric over a run's last steps, those at which it was measured; None without any."""
    values = [value for value in record.training.get(metric, ())[-steps:] if value is not None]
    return fmean(values) if values else None


def last_score(record: Record, signal: str) -> float | None:
    """What a signal measured at the end of training, over the rollouts it applies to, in [0, 1]; constrained or not."""
    return last_mean(record, f"fgrpo/signals/{signal}/mean")


def over_seeds(values: Iterable[float]) -> Estimate:
    """Mean over seeds with Student's 95 % interval."""
    return student(list(values))


def curve(record: Record, metric: str) -> tuple[list[int], list[float]]:
    """A training metric as steps and values, where it was measured."""
    values = record.training.get(metric, ())
    known = [(step, value) for step, value in zip(record.training_steps, values, strict=False) if value is not None]
    return [step for step, _ in known], [value for _, value in known]


def listed(words: Iterable[str]) -> str:
    """Words as they stand in a sentence; none for none."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


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
    value, *ends = (
        "none" if number is None else f"{100 * number:{sign}z.1f}"
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if "none" in ends else f"{value} ({' to '.join(ends)})"


def mostly_faithful(accuracy: float, faithful_accuracy: float) -> bool:
    """Whether nearly every right answer, 9 in 10, is right for reasons that hold."""
    return faithful_accuracy > 0.9 * accuracy


def decided(estimate: Estimate) -> bool:
    """Whether an interval leaves out 0."""
    return estimate.low is not None and estimate.high is not None and not estimate.low <= 0.0 <= estimate.high
