"""The table of constraints: what was asked and what came, every number as it stands in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    `met` compares the mean with the threshold and is None where the constraint does not act. `true_rate` and `asked`
    are what mean and threshold stand for: the same, but where the run's config knows the judge's errors (`corrected`).
    """

    run: str
    number: int
    name: str
    step: int
    score: Number
    lately: Number
    threshold: Number
    true_rate: Number
    asked: Number
    multiplier: Number
    cap: Number
    met: bool | None
    corrected: bool


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
            lately, asked = fmean(parts["score"].values[-LATELY:]), _asked(parts)
            true_rate = lately if asked is None else fmean(parts["score_corrected"].values[-LATELY:])
            rows.append(
                ConstraintRow(
                    run=run_name,
                    number=numbers[run_name],
                    name=name,
                    step=parts["score"].steps[-1],
                    score=plain(parts["score"].values[-1]),
                    lately=plain(lately),
                    threshold=plain(threshold),
                    true_rate=plain(true_rate),
                    asked=plain(threshold if asked is None else asked),
                    multiplier=plain(multiplier),
                    cap=plain(cap),
                    met=None if threshold is None else lately >= threshold,
                    corrected=asked is not None,
                )
            )
    return rows


def as_measured(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """One line for each threshold that is not what was asked, as the judge that measures it errs.

    Args:
        runs: some.
        names: what they are called.
    """
    lines: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        for constraint in constraint_names([run]):
            parts = constraint_series(run, constraint)
            if (asked := _asked(parts)) is not None:
                line = (
                    f"{constraint.replace('_', ' ')} is compared with {_last(parts['threshold']):.3f}, which is what "
                    f"its judge measures of the true rate of {asked:g} that is asked for"
                )
                lines.setdefault(line, []).append(name)
    return [f"{', '.join(mine)}: {line}" for line, mine in lines.items()]


def _asked(parts: Mapping[str, Series]) -> float | None:
    """The true rate that is asked for; None where the last threshold stands for itself."""
    asked = parts.get("threshold_asked")
    current = asked is not None and "score_corrected" in parts and asked.steps[-1] == parts["threshold"].steps[-1]
    return _last(asked) if current else None


def _last(series: Series | None) -> float | None:
    return series.values[-1] if series else None
