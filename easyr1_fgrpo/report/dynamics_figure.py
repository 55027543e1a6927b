"""Figure 8 of the paper: what each constraint and its multiplier did over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from easyr1_fgrpo.report.run_files import Run, Series
from easyr1_fgrpo.report.series import constraint_names, constraint_series, run_labels
from easyr1_fgrpo.report.style import BLACK, COLUMN_INCHES, Look, legend_text, looks

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


def dynamics_figure(runs: Sequence[Run]) -> tuple[Figure | None, list[str]]:
    """Constraints side by side; rows: score with threshold, multiplier with cap, share, fractions.

    Returns:
        The figure, None when no run has a constraint's signal; one line for each run that lacks something.
    """
    from matplotlib.figure import Figure

    names = constraint_names(runs)
    labels = run_labels(runs)
    problems = [line for run in runs for line in _missing(run, names)]
    if not names:
        return None, ["Figure 8: no run has metrics of a constraint"]
    figure = Figure(figsize=(COLUMN_INCHES * max(2, len(names)), 1.5 * len(ROWS) + 0.9))
    axes = figure.subplots(len(ROWS), len(names), sharex=True, sharey="row", squeeze=False)
    look_of = looks(list(dict.fromkeys(labels)))
    for column, name in enumerate(names):
        axes[0][column].set_title(name.replace("_", " "))
        axes[-1][column].set_xlabel("step")
        for run, label in zip(runs, labels, strict=True):
            _draw(list(axes[:, column]), constraint_series(run, name), look_of[label], label)
    for row, title in enumerate(ROWS.values()):
        axes[row][0].set_ylabel(title)
    axes[2][0].set_ylim(bottom=0.0)
    axes[3][0].set_ylim(-0.02, 1.02)
    _legend(figure, axes)
    return figure, problems


def _missing(run: Run, names: Sequence[str]) -> list[str]:
    if not run.metrics:
        return [f"Figure 8: {run.path} has no training metrics and is left out"]
    without = [name for name in names if "score" not in constraint_series(run, name)]
    return [f"Figure 8: {run.path} has no score of {', '.join(without)}"] if without else []


def _draw(axes: Sequence[Axes], series: dict[str, Series], look: Look, label: str) -> None:
    """One run's curves of one constraint."""
    for axis, part in zip(axes, ("score", "multiplier", "share"), strict=False):
        if found := series.get(part):
            _curve(axis, found, look, label=legend_text(label))
    for part, line in FRACTIONS.items():
        if found := series.get(part):
            _curve(axes[3], found, look, label="", linestyle=line)
    for part, (row, line) in LIMITS.items():
        for value in sorted(set(series[part].values)) if part in series else ():
            axes[row].axhline(value, color=BLACK, linestyle=line, linewidth=0.9, gid=f"{part} {value:g}")


def _curve(axis: Axes, series: Series, look: Look, **style: Any) -> None:
    axis.plot(
        series.steps,
        series.values,
        color=look.colour,
        marker=look.marker,
        markevery=max(1, len(series.steps) // MARKS),
        **style,
    )


def _legend(figure: Figure, axes: Any) -> None:
    """One legend for all panels: the runs, and what the lines without a marker mean."""
    from matplotlib.lines import Line2D

    curves = [line for axis in axes[:3].flat for line in axis.get_lines() if not line.get_gid()]
    runs = {line.get_label(): line for line in curves}
    lines = {
        "threshold": "--" if any(_limits(axes[0])) else None,
        "cap": ":" if any(_limits(axes[1])) else None,
    }
    handles = [*runs.values(), *(_line(Line2D, name, BLACK, style) for name, style in lines.items() if style)]
    if any(axis.get_lines() for axis in axes[3]):
        grey = "#777777"
        handles += [_line(Line2D, "applicable", grey, "-"), _line(Line2D, "groups without variance", grey, "--")]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))


def _limits(axes: Sequence[Axes]) -> list[Any]:
    return [line for axis in axes for line in axis.get_lines() if line.get_gid()]


def _line(kind: Any, label: str, colour: str, linestyle: str) -> Any:
    return kind([], [], color=colour, linestyle=linestyle, linewidth=0.9, label=label)
