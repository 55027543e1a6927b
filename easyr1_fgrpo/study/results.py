"""From the records of runs to numbers over seeds. What is missing stays missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.results import AFTER
from easyr1_fgrpo.statistics import Estimate, student
from easyr1_fgrpo.study.records import Record

MEASURES = ("accuracy", "faithful_accuracy", "inconsistency", "semantic_grounding", "spatial_grounding")


def row(records: Sequence[Record], mode: Mode, when: str = AFTER, *, held_out: bool = False) -> dict[str, Estimate]:
    """Every measure over the seeds of an arm.

    Args:
        records: of one arm.
        mode: of decoding.
        when: before or after RL.
        held_out: over the questions of the type that RL did not see, instead of over all.
    """
    found = [_metrics(record, mode, when, held_out) for record in records]
    return {name: over_seeds([_of(metrics, name) for metrics in found]) for name in MEASURES}


def minus(
    records: Sequence[Record], reference: Sequence[Record], mode: Mode, *, held_out: bool = False
) -> dict[str, Estimate]:
    """Every measure of an arm after RL minus the reference's with the same seed, over the seeds that both have."""
    theirs = {record.seed: _metrics(record, mode, AFTER, held_out) for record in reference}
    pairs = [
        (_metrics(record, mode, AFTER, held_out), theirs[record.seed]) for record in records if record.seed in theirs
    ]
    values = {name: [(_of(a, name).value, _of(b, name).value) for a, b in pairs] for name in MEASURES}
    return {name: student(_differences(both)) for name, both in values.items()}


def followed(records: Sequence[Record], when: str = AFTER) -> Estimate:
    """Share of questions whose answer follows a forced, flipped trace, over seeds."""
    return _clipped(student([record.followed[when].followed / record.followed[when].questions for record in records]))


def over_seeds(estimates: Iterable[Estimate]) -> Estimate:
    """Mean over seeds with Student's interval, cut to [0, 1]; with one seed, its own interval over questions.

    `n` is the number of seeds that have a value.
    """
    known = [estimate for estimate in estimates if estimate.value is not None]
    if len(known) == 1:
        return known[0].model_copy(update={"n": 1})
    return _clipped(student([estimate.value for estimate in known if estimate.value is not None]))


def _metrics(record: Record, mode: Mode, when: str, held_out: bool) -> Mapping[str, Estimate]:
    found = record.measured_held_out if held_out else record.measured
    return found[when][mode] if found else {}


def _of(metrics: Mapping[str, Estimate], name: str) -> Estimate:
    """A measure of a record; one that was not known when the record was made was not measured."""
    return metrics.get(name, Estimate(value=None, low=None, high=None, n=0))


def _differences(pairs: Iterable[tuple[float | None, float | None]]) -> list[float]:
    return [a - b for a, b in pairs if a is not None and b is not None]


def _clipped(estimate: Estimate) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return estimate.model_copy(update={"low": max(estimate.low, 0.0), "high": min(estimate.high, 1.0)})
