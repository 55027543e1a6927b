"""How a run kept its constraints over training: the measures by which controllers are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from easyr1_fgrpo.study.records import Record

IN_A_ROW = 5
"""Measured steps for which a constraint has to hold until it counts as feasible."""

_THRESHOLD = re.compile(r"fgrpo/([^/]+)/threshold")


@dataclass(frozen=True)
class Violations:
    """One constraint in one run, over the steps at which its score was measured.

    Attributes:
        feasible_from: the first of `IN_A_ROW` measured steps at or above the threshold; None when there are none.
        area: violations (threshold minus score) summed over the steps that had one; None when none was measured.
        highest: multiplier.
        last: multiplier.
    """

    feasible_from: int | None
    area: float | None
    highest: float
    last: float


def constraints(record: Record) -> list[str]:
    """The constraints that acted in a run."""
    return [match[1] for name in record.training if (match := _THRESHOLD.fullmatch(name))]


def violations(record: Record, constraint: str) -> Violations:
    """How a run kept one of its constraints."""
    measured = list(_measured(record, constraint))
    multipliers = [value for value in record.training[f"fgrpo/{constraint}/multiplier"] if value is not None]
    return Violations(
        feasible_from=_feasible_from(measured),
        area=sum(max(violation, 0.0) for _, violation in measured) if measured else None,
        highest=max(multipliers),
        last=multipliers[-1],
    )


def _measured(record: Record, constraint: str) -> Iterator[tuple[int, float]]:
    """Step and violation, below 0 where the constraint holds."""
    columns = (record.training[f"fgrpo/{constraint}/{name}"] for name in ("threshold", "score"))
    for step, threshold, score in zip(record.training_steps, *columns, strict=True):
        if threshold is not None and score is not None:
            yield step, threshold - score


def _feasible_from(measured: list[tuple[int, float]]) -> int | None:
    for start in range(len(measured) - IN_A_ROW + 1):
        window = measured[start : start + IN_A_ROW]
        if all(violation <= 0.0 for _, violation in window):
            return window[0][0]
    return None
