"""Figure 4 of the paper: the accuracy-inconsistency front over training, one path per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from easyr1_fgrpo.report.evaluation_files import HELD_OUT
from easyr1_fgrpo.report.figures.style import Look, headed, legend_text, looks
from easyr1_fgrpo.report.front import HELD_OUT_FRONT, SOURCES, TRAINING, VALIDATION, FrontPoint, fronts
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import run_labels
from easyr1_fgrpo.report.trained_on import trained_on
from easyr1_fgrpo.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    VALIDATION: "over training: validation questions",
    TRAINING: "over training: training rollouts",
    HELD_OUT_FRONT: "held-out questions, sampled",
}
OF_WHAT = {TRAINING: ", of correct rollouts"}


def front_figure(runs: Sequence[Run]) -> tuple[Figure | None, list[str]]:
    """Two panels: over training (validations where every run has them, else training rollouts), and held-out.

    Returns:
        The figure, None when no run has a path; one line for each run that lacks one.
    """
    from matplotlib.figure import Figure

    paths = [fronts(run) for run in runs]
    problems = [
        f"Figure 4: {run.path} has no accuracy with consistency at two times or more and is left out"
        for run, found in zip(runs, paths, strict=True)
        if not found
    ]
    shown = [source for source in (_over_training(paths), HELD_OUT_FRONT) if any(source in found for found in paths)]
    if not shown:
        return None, problems
    problems += [
        f"Figure 4: {run.path} has no path on {SOURCES[source]}"
        for source in shown
        for run, found in zip(runs, paths, strict=True)
        if found and source not in found
    ]
    labels = run_labels(runs)
    look_of = looks(list(dict.fromkeys(labels)))
    figure = Figure(figsize=(3.4 * len(shown), 3.2))
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, source in zip(axes, shown, strict=True):
        axis.set_title(TITLES[source])
        axis.set_xlabel("accuracy (%)")
        axis.set_ylabel(f"inconsistency rate (%){OF_WHAT.get(source, '')}")
        for label, found in zip(labels, paths, strict=True):
            if source in found:
                _path(axis, found[source], look_of[label], label)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    _legend(figure, axes)
    held_out = Places(runs).all if HELD_OUT_FRONT in shown else []
    headed(figure, [*trained_on(runs, labels), *(str(place) for place in held_out if place.name.startswith(HELD_OUT))])
    return figure, problems


def _over_training(paths: Sequence[dict[str, list[FrontPoint]]]) -> str:
    known = [found for found in paths if VALIDATION in found or TRAINING in found]
    return VALIDATION if known and all(VALIDATION in found for found in known) else TRAINING


def _path(axis: Axes, points: Sequence[FrontPoint], look: Look, label: str) -> None:
    """A path; its start is hollow and its end full."""
    x, y = ([100 * _value(point, name) for point in points] for name in ("accuracy", "inconsistency"))
    axis.plot(x, y, color=look.colour, linewidth=1.0, marker=look.marker, markersize=2.5, label=legend_text(label))
    for point, (px, py), face in ((points[0], (x[0], y[0]), "white"), (points[-1], (x[-1], y[-1]), look.colour)):
        axis.errorbar(
            px,
            py,
            xerr=_interval(point.accuracy),
            yerr=_interval(point.inconsistency),
            color=look.colour,
            marker=look.marker,
            markersize=7,
            markerfacecolor=face,
            elinewidth=0.8,
            zorder=3,
        )


def _value(point: FrontPoint, name: str) -> float:
    value: float | None = getattr(point, name).value
    assert value is not None, "a point of a front has both values"
    return value


def _interval(estimate: Estimate) -> list[list[float]] | None:
    """Distances to the ends of the interval, in %."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    return [[100 * max(0.0, value - low)], [100 * max(0.0, high - value)]]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    from matplotlib.lines import Line2D

    runs = {
        line.get_label(): line
        for axis in axes
        for line in axis.get_lines()
        if not str(line.get_label()).startswith("_")
    }
    ends = [
        Line2D([], [], linestyle="", marker="o", color="#777777", markerfacecolor=face, label=label)
        for face, label in (("white", "start"), ("#777777", "end"))
    ]
    figure.legend(handles=[*runs.values(), *ends], loc="outside lower center", ncols=6)
