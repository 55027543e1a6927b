"""The table of constraints, every number as it stands in the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.numbers import Number, plain
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import constraint_names, constraint_series
from easyr1_fgrpo.report.subjects import run_names, subjects


@dataclass(frozen=True)
class ConstraintRow:
    """A constraint of a run at the last step that measured it; `met` is None where it does not act."""

    run: str
    number: int
    name: str
    step: int | None
    score: Number
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
            score, threshold, multiplier, cap = (
                parts[part].values[-1] if part in parts else None
                for part in ("score", "threshold", "multiplier", "cap")
            )
            met = None if score is None or threshold is None else score >= threshold
            step = parts["score"].steps[-1]
            shown = (plain(score), plain(threshold), plain(multiplier), plain(cap))
            rows.append(ConstraintRow(run_name, numbers[run_name], name, step, *shown, met))
    return rows
