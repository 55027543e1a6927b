"""The tables of the page: runs, constraints, evaluations and configs, every number as it stands in the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import constraint_names, constraint_series
from easyr1_fgrpo.report.subjects import occasion, run_names, subject, subjects
from easyr1_fgrpo.statistics import Estimate

METRICS = {
    "accuracy": "accuracy %",
    "accuracy_by_scorer": "accuracy by scorer %",
    "faithful_accuracy": "faithful accuracy %",
    "inconsistency": "inconsistency rate %",
    "semantic_grounding": "semantic grounding %",
    "spatial_grounding": "spatial grounding %",
    "format": "format %",
    "truncated": "truncated %",
    "unparsable": "unparsable %",
    "unjudged": "unjudged %",
    "response_tokens": "response tokens",
}
"""The metrics of an evaluation that the page shows; columns that no evaluation has are left out."""


@dataclass(frozen=True)
class Number:
    """A number of the files and how it is written.

    Attributes:
        value: as in the file; None where it was not measured.
        text: for reading.
        interval: its 95 % interval, "" where there is none.
        n: how many were measured; None where that is not known.
    """

    value: float | None
    text: str = "–"
    interval: str = ""
    n: int | None = None


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


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation, its numbers in the order of the columns."""

    subject: str
    number: int
    occasion: str
    cells: tuple[Number, ...]


@dataclass(frozen=True)
class ConfigRow:
    """One key of the config with its value in each run, None where a run lacks it."""

    key: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs disagree."""
        return len(set(self.values)) > 1


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
            shown = (_plain(score), _plain(threshold), _plain(multiplier), _plain(cap))
            rows.append(ConstraintRow(run_name, numbers[run_name], name, step, *shown, met))
    return rows


def evaluation_columns(runs: Sequence[Run]) -> list[str]:
    """The metrics that at least one evaluation has."""
    measured = [evaluation.metrics for run in runs for evaluation in run.evaluations]
    return [
        name for name in METRICS if any(name in metrics and metrics[name].value is not None for metrics in measured)
    ]


def evaluation_rows(runs: Sequence[Run]) -> list[EvaluationRow]:
    """Every evaluation, those on the same questions next to each other."""
    numbers, columns = subjects(runs), evaluation_columns(runs)
    rows = [
        EvaluationRow(
            who := subject(name, evaluation),
            numbers[who],
            occasion(evaluation),
            tuple(_estimate(column, evaluation.metrics.get(column)) for column in columns),
        )
        for name, run in zip(run_names(runs), runs, strict=True)
        for evaluation in run.evaluations
    ]
    order = list(dict.fromkeys(row.occasion for row in rows))
    return sorted(rows, key=lambda row: order.index(row.occasion))


def config_rows(runs: Sequence[Run]) -> list[ConfigRow]:
    """Every key of any run's config, in alphabetical order."""
    keys = sorted({key for run in runs for key in run.config})
    return [ConfigRow(key, tuple(_value(run, key) for run in runs)) for key in keys]


# ---------------------------------------------------------------------- cells


def _value(run: Run, key: str) -> str | None:
    return json.dumps(run.config[key], ensure_ascii=False, default=str) if key in run.config else None


def _plain(value: float | None) -> Number:
    return Number(None) if value is None else Number(value, f"{value:.3f}")


def _estimate(metric: str, estimate: Estimate | None) -> Number:
    if estimate is None or estimate.value is None:
        return Number(None, n=estimate.n if estimate else None)
    scale = 1.0 if metric == "response_tokens" else 100.0
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"{scale * estimate.low:.1f}–{scale * estimate.high:.1f}"
    return Number(estimate.value, f"{scale * estimate.value:.1f}", interval, estimate.n)
