"""The accuracy-inconsistency front over training (FGRPO Figure 4): where a run goes from its warm start.

Three sources measure different things and are never mixed in one path: see `SOURCES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.evaluation_files import HELD_OUT
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import SCORED
from easyr1_fgrpo.statistics import Estimate

HELD_OUT_FRONT, VALIDATION, TRAINING = "held-out", "validation", "training"
SOURCES = {
    VALIDATION: "validation questions, all judged rollouts",
    TRAINING: "training rollouts, inconsistency of the correct ones",
    HELD_OUT_FRONT: "held-out questions, before and after RL, all judged answers",
}
"""What each path is measured on. In training only correct rollouts are judged."""

WINDOWS = 12
"""Points of a training path: steps are pooled, one step's batch is too small."""


@dataclass(frozen=True)
class FrontPoint:
    """Accuracy and inconsistency rate at one time of a run, shares in [0, 1].

    Attributes:
        step: the training step; of pooled ones the last; None where it is not known.
        accuracy, inconsistency: with an interval where one was measured.
    """

    step: int | None
    accuracy: Estimate
    inconsistency: Estimate


def fronts(run: Run, mode: str = "sampled") -> dict[str, list[FrontPoint]]:
    """A run's paths by source, those with two points or more.

    Args:
        run: the run.
        mode: of the held-out evaluations; "sampled" is the distribution that RL trains.
    """
    paths = {
        VALIDATION: list(_validation(run)),
        TRAINING: list(_training(run)),
        HELD_OUT_FRONT: list(_held_out(run, mode)),
    }
    return {source: path for source, path in paths.items() if len(path) > 1}


def _validation(run: Run) -> Iterator[FrontPoint]:
    accuracy, consistency = (_by_step(run, f"fgrpo/val/{name}/mean") for name in ("accuracy", "consistency"))
    answered, judged = (_by_step(run, f"fgrpo/val/{name}/measured") for name in ("accuracy", "consistency"))
    for step in sorted(accuracy.keys() & consistency.keys() & answered.keys() & judged.keys()):
        yield FrontPoint(
            step,
            _plain(accuracy[step], answered[step]),
            _plain(1.0 - consistency[step], judged[step]),
        )


def _training(run: Run) -> Iterator[FrontPoint]:
    """Shares over the rollouts of a window of steps, each rollout weighing the same."""
    accuracy, consistency = (_by_step(run, f"fgrpo/signals/{name}/mean") for name in ("accuracy", "consistency"))
    scored, judged = _by_step(run, SCORED), _by_step(run, "fgrpo/signals/consistency/applicable")
    steps = sorted(accuracy)
    size = max(1, math.ceil(len(steps) / WINDOWS))
    for start in range(0, len(steps), size):
        window = steps[start : start + size]
        right, consistent = _pooled(accuracy, scored, window), _pooled(consistency, judged, window)
        if right and consistent and consistent.value is not None:
            yield FrontPoint(window[-1], right, consistent.model_copy(update={"value": 1.0 - consistent.value}))


def _held_out(run: Run, mode: str) -> Iterator[FrontPoint]:
    """Before and after RL, as the table at the end of a run."""
    for label, step in (("before_RL", 0), ("after_RL", run.last_step)):
        for found in run.evaluations:
            accuracy, inconsistency = (found.metrics.get(name) for name in ("accuracy", "inconsistency"))
            if (found.label, found.benchmark, found.mode) != (label, HELD_OUT, mode):
                continue
            if accuracy and inconsistency and None not in (accuracy.value, inconsistency.value):
                yield FrontPoint(step, accuracy, inconsistency)


def _by_step(run: Run, key: str) -> dict[int, float]:
    series = run.metrics.get(key)
    return dict(zip(series.steps, series.values, strict=True)) if series else {}


def _plain(value: float, n: float) -> Estimate:
    return Estimate(value=value, low=None, high=None, n=int(n))


def _pooled(shares: dict[int, float], counts: dict[int, float], steps: Sequence[int]) -> Estimate | None:
    """The share over all rollouts of some steps; None when there is none."""
    used = [step for step in steps if step in shares and counts.get(step, 0.0) > 0.0]
    total = sum(counts[step] for step in used)
    return _plain(sum(shares[step] * counts[step] for step in used) / total, total) if used else None
