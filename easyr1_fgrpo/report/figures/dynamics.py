"""Figure 8 of the paper: what each constraint and its multiplier did over training."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import fmean
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.report.constraints import as_measured
from easyr1_fgrpo.report.figures.style import BLACK, COLUMN_INCHES, Look, headed, legend_text, looks
from easyr1_fgrpo.report.run_files import Run, Series
from easyr1_fgrpo.report.series import CONSTRAINT_PARTS, constraint_names, constraint_series, run_labels
from easyr1_fgrpo.report.trained_on import trained_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = {
    "score": "batch score",
    "multiplier": "multiplier",
    "share": "share of the advantage",
    "fractions": "fraction",
}
LIMITS = {"threshold": (0, "--"), "cap": (1, ":")}
"""Row and line of what a curve is held against."""

FRACTIONS = {"applicable_share": "-", "zero_variance": "--"}
MARKS = 8
"""Markers along a curve."""
STRETCHES = 25
"""Points of a curve over seeds: single steps of several runs hide each other."""
GREY = "#777777"


def dynamics_figure(runs: Sequence[Run]) -> tuple[Figure | None, list[str]]:
    """Constraints side by side; rows: score with threshold, multiplier with cap, share, fractions.

    A run has its curve step by step. Runs that differ in the seed alone share one: means over stretches of steps and
    over seeds, in a band from the lowest seed to the highest.

    Returns:
        The figure, None when no run has a constraint's signal; one line for each run that lacks something.
    """
    from matplotlib.figure import Figure

    names = constraint_names(runs)
    together: dict[str, list[Run]] = {}
    for run, label in zip(runs, run_labels(runs), strict=True):
        together.setdefault(label, []).append(run)
    problems = [line for run in runs for line in _missing(run, names)]
    problems += [line for seeds in together.values() for line in _short(seeds)]
    if not names:
        return None, ["Figure 8: no run has metrics of a constraint"]
    figure = Figure(figsize=(COLUMN_INCHES * max(2, len(names)), 1.5 * len(ROWS) + 0.9))
    axes = figure.subplots(len(ROWS), len(names), sharex=True, sharey="row", squeeze=False)
    look_of = looks(list(together))
    for column, name in enumerate(names):
        axes[0][column].set_title(name.replace("_", " "))
        axes[-1][column].set_xlabel("step")
        for label, seeds in together.items():
            _draw(list(axes[:, column]), [constraint_series(run, name) for run in seeds], look_of[label], label)
    for row, title in enumerate(ROWS.values()):
        axes[row][0].set_ylabel(title)
    axes[2][0].set_ylim(bottom=0.0)
    axes[3][0].set_ylim(-0.02, 1.02)
    _legend(figure, axes, seeds=max(map(len, together.values())))
    labels = run_labels(runs)
    headed(figure, [*trained_on(runs, labels), *as_measured(runs, labels)])
    return figure, problems


def _missing(run: Run, names: Sequence[str]) -> list[str]:
    if not run.metrics:
        return [f"Figure 8: {run.path} has no training metrics and is left out"]
    without = [name for name in names if "score" not in constraint_series(run, name)]
    return [f"Figure 8: {run.path} has no score of {', '.join(without)}"] if without else []


def _short(seeds: Sequence[Run]) -> list[str]:
    """Seeds that end before the others do, and the curve over seeds with them."""
    ends = [run.last_step for run in seeds if run.metrics and run.last_step is not None]
    return [
        f"Figure 8: {run.path} ends at step {run.last_step}, other seeds at {max(ends)}: their mean ends with it"
        for run in seeds
        if run.metrics and run.last_step is not None and run.last_step == min(ends) < max(ends)
    ]


def _draw(axes: Sequence[Axes], seeds: Sequence[dict[str, Series]], look: Look, label: str) -> None:
    """The curves of one constraint in one run, or in several that differ in the seed alone."""
    series = {part: found for part in CONSTRAINT_PARTS if (found := [each[part] for each in seeds if part in each])}
    for axis, part in zip(axes, ("score", "multiplier", "share"), strict=False):
        if part in series:
            _curve(axis, series[part], look, label=legend_text(label))
            _band(axis, series[part], look)
    for part, line in FRACTIONS.items():
        if part in series:
            _curve(axes[3], series[part], look, label="", linestyle=line)
    for part, (row, line) in LIMITS.items():
        for value in sorted({value for each in series.get(part, []) for value in each.values}):
            axes[row].axhline(value, color=BLACK, linestyle=line, linewidth=0.9, gid=f"{part} {value:g}")


def _curve(axis: Axes, seeds: Sequence[Series], look: Look, **style: Any) -> None:
    points = _points(seeds)
    axis.plot(
        [step for step, _ in points],
        [fmean(values) for _, values in points],
        color=look.colour,
        marker=look.marker,
        markevery=max(1, len(points) // MARKS),
        **style,
    )


def _band(axis: Axes, seeds: Sequence[Series], look: Look) -> None:
    if len(seeds) > 1:
        points = _points(seeds)
        low, high = ([end(values) for _, values in points] for end in (min, max))
        axis.fill_between([step for step, _ in points], low, high, color=look.colour, alpha=0.15, linewidth=0)


def _points(seeds: Sequence[Series]) -> list[tuple[float, tuple[float, ...]]]:
    if len(seeds) > 1:
        return stretches(seeds)
    return [(step, (value,)) for step, value in zip(seeds[0].steps, seeds[0].values, strict=True)]


def stretches(seeds: Sequence[Series]) -> list[tuple[float, tuple[float, ...]]]:
    """The middle of each stretch of steps, and every seed's mean over it; only where every seed was measured."""
    first, last = min(each.steps[0] for each in seeds), max(each.steps[-1] for each in seeds)
    length = ceil((last - first + 1) / STRETCHES)
    by_stretch: list[dict[int, list[float]]] = [{} for _ in seeds]
    for found, each in zip(by_stretch, seeds, strict=True):
        for step, value in zip(each.steps, each.values, strict=True):
            found.setdefault((step - first) // length, []).append(value)
    numbers = sorted(set.intersection(*map(set, by_stretch)))
    return [
        (first + number * length + (length - 1) / 2, tuple(fmean(found[number]) for found in by_stretch))
        for number in numbers
    ]


def _legend(figure: Figure, axes: Any, seeds: int) -> None:
    """One legend for all panels: the runs, and what the lines without a marker mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    curves = [line for axis in axes[:3].flat for line in axis.get_lines() if not line.get_gid()]
    runs = {line.get_label(): line for line in curves}
    lines = {
        "threshold": "--" if any(_limits(axes[0])) else None,
        "cap": ":" if any(_limits(axes[1])) else None,
    }
    handles = [*runs.values(), *(_line(Line2D, name, BLACK, style) for name, style in lines.items() if style)]
    if any(axis.get_lines() for axis in axes[3]):
        handles += [_line(Line2D, "applicable", GREY, "-"), _line(Line2D, "groups without variance", GREY, "--")]
    if seeds > 1:
        handles.append(Patch(facecolor=GREY, alpha=0.3, label="lowest to highest seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))


def _limits(axes: Sequence[Axes]) -> list[Any]:
    return [line for axis in axes for line in axis.get_lines() if line.get_gid()]


def _line(kind: Any, label: str, colour: str, linestyle: str) -> Any:
    return kind([], [], color=colour, linestyle=linestyle, linewidth=0.9, label=label)
