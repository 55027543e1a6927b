"""Figure 3 of the paper: accuracy, inconsistency and grounding, and faithful accuracy, runs and models side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import TYPE_CHECKING

from easyr1_fgrpo.evaluation.results.results import AFTER as AFTER_RL
from easyr1_fgrpo.evaluation.results.results import BEFORE as BEFORE_RL
from easyr1_fgrpo.report.evaluation_files import HELD_OUT, Evaluation
from easyr1_fgrpo.report.figures.style import BLACK, NEUTRAL, Look, headed, legend_text, looks
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import run_labels
from easyr1_fgrpo.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {
    "accuracy": "accuracy (%)",
    "faithful_accuracy": "faithful accuracy (%)",
    "inconsistency": "inconsistency rate (%)",
    "semantic_grounding": "semantic grounding (%)",
    "spatial_grounding": "spatial grounding (%)",
}
BEFORE = "before RL"
FEW_BARS = 12
"""A panel with no more bars than this has their values above them."""
PAGE_WIDTH = 11.0
"""Inches; a row of panels takes no more, unless one panel does."""


@dataclass(frozen=True)
class Bar:
    """One model's estimates of one metric on one set of questions, one for each seed."""

    who: str
    where: str
    metric: str
    estimates: tuple[Estimate, ...]
    checkpoints: tuple[str, ...]

    @property
    def value(self) -> float | None:
        """The mean over seeds, a share; None where nothing was measured."""
        values = [estimate.value for estimate in self.estimates if estimate.value is not None]
        return fmean(values) if values else None


def bars(runs: Sequence[Run]) -> list[Bar]:
    """All bars, who by who: the start of the runs first, then runs and models in the order given.

    A bar is of one data set and judge, and of one checkpoint a seed.
    """
    places = Places(runs)
    found: dict[tuple[str, str], list[Evaluation]] = {}
    for who, evaluation in sorted(_named(runs, places), key=lambda item: not item[0].startswith(BEFORE)):
        found.setdefault((who, places.where(evaluation)), []).append(evaluation)
    return [
        Bar(
            who,
            where,
            metric,
            tuple(each.metrics[metric] for each in evaluations if metric in each.metrics),
            tuple(dict.fromkeys(each.checkpoint for each in evaluations if each.checkpoint)),
        )
        for (who, where), evaluations in found.items()
        for metric in METRICS
    ]


def _named(runs: Sequence[Run], places: Places) -> Iterator[tuple[str, Evaluation]]:
    """Every evaluation, and who was measured; runs that differ in the seed alone share a name.

    Runs of one warm start all hold the same measurement of it, which comes once. Where runs of one seed start from
    different ones, each run's start has a name of its own.
    """
    starts: dict[tuple[str, int | None], list[Evaluation]] = {}
    for run in runs:
        for evaluation in run.evaluations:
            if (evaluation.benchmark, evaluation.label) == (HELD_OUT, BEFORE_RL):
                starts.setdefault((places.where(evaluation), run.seed), []).append(evaluation)
    common = all(map(_same, starts.values()))
    seen = set()
    for run, label in zip(runs, run_labels(runs), strict=True):
        for evaluation in run.evaluations:
            if evaluation.benchmark != HELD_OUT:
                yield _model(run, evaluation, runs), evaluation
            elif evaluation.label != BEFORE_RL:
                yield label if evaluation.label == AFTER_RL else f"{label}: {evaluation.label}", evaluation
            elif not common:
                yield f"{BEFORE}, {label}", evaluation
            elif (where := (places.where(evaluation), run.seed)) not in seen:
                seen.add(where)
                yield BEFORE, evaluation


def _same(evaluations: Sequence[Evaluation]) -> bool:
    """Whether they are of one checkpoint: by its hash, or where one is not known by what was measured."""
    if all(evaluation.checkpoint for evaluation in evaluations):
        return len({evaluation.checkpoint for evaluation in evaluations}) == 1
    return all(evaluation.metrics == evaluations[0].metrics for evaluation in evaluations)


def _model(run: Run, evaluation: Evaluation, runs: Sequence[Run]) -> str:
    """A model's name, with its folder's where several folders have a model of this name."""
    holders = [other for other in runs if evaluation.label in {each.label for each in other.evaluations}]
    return evaluation.label if len(holders) == 1 else f"{run.name}/{evaluation.label}"


def quality_figure(runs: Sequence[Run]) -> tuple[Figure | None, list[str]]:
    """One panel a metric, bars with 95 % intervals; of several seeds the mean, and a dot for each.

    Returns:
        The figure, None when no run has an evaluation; one line for each run without one.
    """
    from matplotlib.figure import Figure

    problems = [f"Figure 3: {run.path} has no evaluation and is left out" for run in runs if not run.evaluations]
    found = bars(runs)
    metrics = [metric for metric in METRICS if any(bar.metric == metric and bar.value is not None for bar in found)]
    if not metrics:
        return None, problems
    wheres = list(dict.fromkeys(bar.where for bar in found))
    whos = dict.fromkeys(bar.who for bar in found)
    given = looks([who for who in dict.fromkeys([*run_labels(runs), *whos]) if who != BEFORE])  # as in other figures
    look_of = {who: NEUTRAL if who == BEFORE else given[who] for who in whos}
    n_bars = len(wheres) * len(look_of)
    # Many benchmarks: panels below each other, thin bars. One or two: side by side as far as a page is wide.
    wide = len(wheres) > 2
    width = max(4.0, 0.22 * n_bars + 1) if wide else max(1.8, (0.42 if n_bars <= FEW_BARS else 0.25) * n_bars)
    n_columns = 1 if wide else min(len(metrics), max(1, int(PAGE_WIDTH // width)))
    n_rows = ceil(len(metrics) / n_columns)
    figure = Figure(figsize=(width * n_columns, (1.7 if wide else 2.6) * n_rows + 0.5))
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for axis in axes[len(metrics) :]:
        axis.remove()
    for axis, metric in zip(axes, metrics, strict=False):
        shown = [bar for bar in found if bar.metric == metric]
        _panel(axis, shown, wheres, look_of)
        axis.set_ylabel(METRICS[metric])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    headed(figure, [*map(str, Places(runs).all), *_checkpoints(found)])
    return figure, problems


def _checkpoints(found: Sequence[Bar]) -> list[str]:
    """A line with everybody's checkpoints; none where they are not known."""
    by_who: dict[str, dict[str, None]] = {}
    for bar in found:
        by_who.setdefault(bar.who, {}).update(dict.fromkeys(bar.checkpoints))
    known = [f"{who} {', '.join(checkpoints)}" for who, checkpoints in by_who.items() if checkpoints]
    return [f"checkpoints: {'; '.join(known)}"] if known else []


def _panel(axis: Axes, shown: Sequence[Bar], wheres: Sequence[str], look_of: dict[str, Look]) -> None:
    width = 0.8 / len(look_of)
    for index, (who, look) in enumerate(look_of.items()):
        mine = {bar.where: bar for bar in shown if bar.who == who}
        offset = (index - (len(look_of) - 1) / 2) * width
        positions = {where: number + offset for number, where in enumerate(wheres) if where in mine}
        measured = {where: x for where, x in positions.items() if mine[where].value is not None}
        heights = [100 * (mine[where].value or 0.0) for where in measured]
        axis.bar(
            list(measured.values()), heights, 0.9 * width, label=legend_text(who), color=look.colour, hatch=look.hatch,
            edgecolor="white", linewidth=0,
        )  # fmt: skip
        for where, x in positions.items():
            _whisker(axis, mine[where], x)
            if len(look_of) * len(wheres) <= FEW_BARS or where not in measured:
                _number(axis, mine[where], x)
    axis.set_xticks(range(len(wheres)), [where.replace("_", " ").replace(", ", "\n") for where in wheres])
    axis.grid(False, axis="x")
    axis.margins(y=0.12)
    axis.set_ylim(bottom=0.0)


def _whisker(axis: Axes, bar: Bar, x: float) -> None:
    """The interval of one measurement, or a dot for each of several."""
    values = [100 * estimate.value for estimate in bar.estimates if estimate.value is not None]
    if len(values) > 1:
        axis.plot([x] * len(values), values, linestyle="", marker="o", markersize=2.5, color=BLACK, zorder=3)
        return
    for estimate in bar.estimates:
        if estimate.value is not None and estimate.low is not None and estimate.high is not None:
            ends = [[100 * max(0.0, estimate.value - estimate.low)], [100 * max(0.0, estimate.high - estimate.value)]]
            axis.errorbar(x, 100 * estimate.value, yerr=ends, color=BLACK, elinewidth=0.8, capsize=1.5)


def _number(axis: Axes, bar: Bar, x: float) -> None:
    """The value above a bar; a dash where nothing was measured, which is not 0."""
    single = len(bar.estimates) == 1
    tops = [estimate.high if single and estimate.high is not None else estimate.value for estimate in bar.estimates]
    top = 100 * max((top for top in tops if top is not None), default=0.0)
    text = "–" if bar.value is None else f"{100 * bar.value:.1f}"
    axis.annotate(text, (x, top), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=6)
