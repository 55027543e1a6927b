"""The table of constraints: what was asked and what came, every number as it stands in the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from easyr1_fgrpo.report.numbers import Number, plain
from easyr1_fgrpo.report.run_files import Run, Series
from easyr1_fgrpo.report.series import constraint_names, constraint_series
from easyr1_fgrpo.report.subjects import run_names, subjects

LATELY = 10
"""Steps whose mean says whether a constraint is met: the score of a single one is noisy."""


@dataclass(frozen=True)
class ConstraintRow:
    """A constraint of a run: the last step that measured it, and the mean of the last `LATELY` such steps.

    `met` compares the mean with the threshold and is None where the constraint does not act.
    """

    run: str
    number: int
    name: str
    step: int
    score: Number
    lately: Number
    threshold: Number
    multiplier: Number
    cap: Number
    met: bool | None


def constraint_rows(runs: Sequence[Run]) -> list[ConstraintRow]:
    """Every constraint of every run, by constraint."""
    numbers = subjects(runs)
    rows = []
    for name in constraint_names(runs):
        for run_name, run in zip(run_names(runs), runs, strict=True):
            parts = constraint_series(run, name)
            if "score" not in parts:
                continue
            threshold, multiplier, cap = (_last(parts.get(part)) for part in ("threshold", "multiplier", "cap"))
            lately = fmean(parts["score"].values[-LATELY:])
            rows.append(
                ConstraintRow(
                    run=run_name,
                    number=numbers[run_name],
                    name=name,
                    step=parts["score"].steps[-1],
                    score=plain(parts["score"].values[-1]),
                    lately=plain(lately),
                    threshold=plain(threshold),
                    multiplier=plain(multiplier),
                    cap=plain(cap),
                    met=None if threshold is None else lately >= threshold,
                )
            )
    return rows


def _last(series: Series | None) -> float | None:
    return series.values[-1] if series else None
