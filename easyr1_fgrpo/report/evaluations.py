"""The table of evaluations: together what was measured on the same, a run before above after with the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from easyr1_fgrpo.evaluation.results.comparison import differences
from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
from easyr1_fgrpo.report.evaluation_files import HELD_OUT, Evaluation
from easyr1_fgrpo.report.measured_on import Place, Places
from easyr1_fgrpo.report.numbers import Number, difference, estimated
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.subjects import run_names, subject, subjects
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

WHEN = {BEFORE: "before RL", AFTER: "after RL"}


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation, or the difference of two, its numbers in the order of the columns."""

    subject: str
    number: int
    what: str
    checkpoint: str
    cells: tuple[Number, ...]
    is_difference: bool = False


@dataclass(frozen=True)
class EvaluationGroup:
    """Rows that may be compared: measured on the same questions by the same judge."""

    place: Place
    rows: list[EvaluationRow] = field(default_factory=list)


def evaluation_columns(runs: Sequence[Run]) -> list[str]:
    """The metrics that at least one evaluation has."""
    measured = [evaluation.metrics for run in runs for evaluation in run.evaluations]
    return [
        name for name in METRICS if any(name in metrics and metrics[name].value is not None for metrics in measured)
    ]


def evaluation_groups(runs: Sequence[Run]) -> list[EvaluationGroup]:
    """Every evaluation, and what RL changed."""
    numbers, columns, places = subjects(runs), evaluation_columns(runs), Places(runs)
    groups = {id(place): EvaluationGroup(place) for place in places.all}
    for name, run in zip(run_names(runs), runs, strict=True):
        for evaluation in _ordered(run.evaluations):
            who = subject(name, evaluation)
            rows = groups[id(places.of(evaluation))].rows
            rows.append(EvaluationRow(who, numbers[who], _what(evaluation), evaluation.checkpoint, tuple(
                estimated(evaluation.metrics.get(column), 1.0 if column == "response_tokens" else 100.0)
                for column in columns
            )))  # fmt: skip
            if changed := changes(run, evaluation):
                what = f"difference, {evaluation.mode}"
                cells = tuple(difference(changed.get(column)) for column in columns)
                rows.append(EvaluationRow(who, numbers[who], what, "", cells, is_difference=True))
    return list(groups.values())


def before_of(run: Run, after: Evaluation) -> Evaluation | None:
    """The same run before RL, measured in the same way; None for what is no run after RL."""
    if (after.benchmark, after.label) != (HELD_OUT, AFTER):
        return None
    found = (each for each in run.evaluations if (each.label, each.mode, each.path) == (BEFORE, after.mode, after.path))
    return next(found, None)


def sampled_first(run: Run) -> list[Evaluation]:
    """The evaluations after RL that have one before, those of sampled responses first: it is these that RL trains."""
    pairs = [each for each in run.evaluations if before_of(run, each)]
    return sorted(pairs, key=lambda each: each.mode != "sampled")


def changes(run: Run, after: Evaluation) -> dict[str, Estimate]:
    """After minus before RL over the same questions, by metric; none where there is no pair of them."""
    before = before_of(run, after)
    if before is None or before.result is None or after.result is None:
        return {}
    try:
        return {each.measure: each.estimate for each in differences([before.result], [after.result])}
    except ValueError:  # of other questions, or none in common
        return {}


def _ordered(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Those of one mode next to each other, before above after."""
    modes = list(dict.fromkeys(each.mode for each in evaluations if each.benchmark == HELD_OUT))

    def rank(each: Evaluation) -> tuple[int, bool]:
        return (modes.index(each.mode), each.label != BEFORE) if each.benchmark == HELD_OUT else (len(modes), False)

    return sorted(evaluations, key=rank)


def _what(evaluation: Evaluation) -> str:
    if evaluation.benchmark == HELD_OUT:
        return f"{WHEN.get(evaluation.label, evaluation.label)}, {evaluation.mode}"
    return evaluation.mode
