"""The charts of the page as plotly figures; colours are names (`ink`) that the page turns into its theme's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from easyr1_fgrpo.report.evaluation_files import Evaluation
from easyr1_fgrpo.report.evaluations import METRICS
from easyr1_fgrpo.report.front import SOURCES, FrontPoint, fronts
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run, Series
from easyr1_fgrpo.report.series import (
    CONSTRAINT_PARTS,
    JUDGE_PARTS,
    RL_CURVES,
    constraint_names,
    constraint_series,
    judge_questions,
    judge_series,
)
from easyr1_fgrpo.report.subjects import run_names, subject, subjects
from easyr1_fgrpo.report.traces.view import visible
from easyr1_fgrpo.statistics import Estimate

N_COLOURS = 8
DASHES = ("solid", "dash", "dot", "dashdot")
COMPARED = ("accuracy", "faithful_accuracy", "inconsistency", "semantic_grounding", "spatial_grounding")

Figure = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One chart: what it shows and its plotly figure."""

    title: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """Charts that belong together, with what a reader has to know of them."""

    title: str
    note: str
    charts: list[Chart] = field(default_factory=list)


def training_sections(runs: Sequence[Run]) -> list[Section]:
    """Training dynamics (FGRPO Figure 8); sections and charts without any measurement are left out."""
    names = constraint_names(runs)
    parts = {name: [constraint_series(run, name) for run in runs] for name in names}

    def of_constraints(part: str, limit: str = "") -> list[Chart]:
        charts = [
            _chart(runs, _title(name), [found.get(part) for found in parts[name]],
                   [found.get(limit) for found in parts[name]] if limit else None, limit)
            for name in names
        ]  # fmt: skip
        return [chart for chart in charts if chart]

    shares = of_constraints("share")
    if task := _chart(runs, "Task reward", [run.metrics.get("fgrpo/task/share") for run in runs]):
        shares.insert(0, task)
    judges = [
        chart
        for question in judge_questions(runs)
        for part, title in JUDGE_PARTS.items()
        if (chart := _chart(runs, f"{_title(question)}: {title}", _each(runs, judge_series, question, part)))
    ]
    rl = [
        chart
        for curve in RL_CURVES
        if (chart := _chart(runs, _title(curve.label), [run.metrics.get(curve.key) for run in runs]))
    ]
    sections = [
        Section("Scores and thresholds", "Batch score of each constraint (Eq. 5); dotted: its threshold. "
                "Where a constraint does not act, the signal's mean.", of_constraints("score", "threshold")),
        Section("Multipliers and their cap", "Multiplier of each constraint (Eq. 4); dotted: its cap.",
                of_constraints("multiplier", "cap")),
        Section("Share of the advantage", "Mean size of each signal's part of the advantage, of all parts (Eq. 6).",
                shares),
        Section("Applicable rollouts", f"{_sentence(CONSTRAINT_PARTS['applicable_share'])}.",
                of_constraints("applicable_share")),
        Section("Groups without variance", "Share of groups in which a signal is constant and so has no gradient.",
                of_constraints("zero_variance")),
        Section("Judges", "How the judges did, step by step.", judges),
        Section("Reinforcement learning", "The ordinary curves.", rl),
    ]  # fmt: skip
    return [section for section in sections if section.charts]


def front_sections(runs: Sequence[Run]) -> list[Section]:
    """The accuracy-inconsistency front over training (FGRPO Figure 4), one chart for each way of measuring."""
    numbers = subjects(runs)
    paths = {name: fronts(run) for name, run in zip(run_names(runs), runs, strict=True)}
    charts = []
    for source, what in SOURCES.items():
        data = [_path(name, numbers[name], path[source]) for name, path in paths.items() if source in path]
        if data:
            axes = {"xaxis": {"title": {"text": "accuracy %"}}, "yaxis": {"title": {"text": "inconsistency rate %"}}}
            charts.append(Chart(_sentence(what), {"data": data, "layout": {**axes, "hovermode": "closest"}}))
    note = "Hollow is the first point, down and right is better."
    return [Section("Accuracy and inconsistency over training", note, charts)] if charts else []


def benchmark_sections(runs: Sequence[Run]) -> list[Section]:
    """Accuracy, inconsistency and grounding per benchmark with 95 % intervals (FGRPO Figure 3)."""
    charts = []
    for metric in COMPARED:
        data = list(_bars(runs, metric))
        if data:
            layout = {"barmode": "group", "yaxis": {"title": {"text": METRICS[metric]}, "range": [0, 105]}}
            charts.append(Chart(_sentence(METRICS[metric]), {"data": data, "layout": layout}))
    note = ". ".join(["Whiskers: 95 % intervals", *map(str, Places(runs).all)])
    return [Section("Benchmarks", f"{note}.", charts)] if charts else []


# ---------------------------------------------------------------------- one chart


def _chart(
    runs: Sequence[Run],
    title: str,
    series: Sequence[Series | None],
    limits: Sequence[Series | None] | None = None,
    limit: str = "",
) -> Chart | None:
    """Each run's curve, and its limit as a dotted line; None when no run has one."""
    numbers = subjects(runs)
    data = []
    for index, (name, own) in enumerate(zip(run_names(runs), series, strict=True)):
        if own is None:
            continue
        data.append(_curve(name, numbers[name], own, DASHES[numbers[name] // N_COLOURS % 2]))
        if limits and (bound := limits[index]) is not None:
            data.append(_curve(f"{name}: {limit}", numbers[name], bound, "dot"))
    layout = {
        "xaxis": {"title": {"text": "step"}},
        "yaxis": {"rangemode": "nonnegative"},
        "hovermode": "x unified",
    }
    return Chart(title, {"data": data, "layout": layout}) if data else None


def _curve(name: str, number: int, series: Series, dash: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines" if len(series.steps) > 1 else "markers",
        "name": _escaped(name),
        "ink": _ink(number),
        "x": series.steps,
        "y": series.values,
        "line": {"dash": dash, "width": 2 if dash != "dot" else 1.5},
    }


def _path(name: str, number: int, path: Sequence[FrontPoint]) -> Figure:
    steps = ["after an unknown step" if point.step is None else f"step {point.step}" for point in path]
    symbols = ["circle-open", *["circle"] * (len(path) - 1)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": _escaped(name),
        "ink": _ink(number),
        "x": [_percent(point.accuracy.value) for point in path],
        "y": [_percent(point.inconsistency.value) for point in path],
        "text": steps,
        "hovertemplate": "%{text}: accuracy %{x:.1f} %, inconsistency %{y:.1f} %",
        "marker": {"size": 9, "symbol": symbols},
        "line": {"width": 2},
        **_whiskers("error_x", [point.accuracy for point in path]),
        **_whiskers("error_y", [point.inconsistency for point in path]),
    }


def _bars(runs: Sequence[Run], metric: str) -> Iterator[Figure]:
    """One set of bars for each subject, a bar for each benchmark or checkpoint and mode."""
    places = Places(runs)
    found: dict[str, list[Evaluation]] = {}
    for name, run in zip(run_names(runs), runs, strict=True):
        for evaluation in run.evaluations:
            if metric in evaluation.metrics and evaluation.metrics[metric].value is not None:
                found.setdefault(subject(name, evaluation), []).append(evaluation)
    for who, number in subjects(runs).items():
        estimates = [evaluation.metrics[metric] for evaluation in found.get(who, [])]
        if estimates:
            yield {
                "type": "bar",
                "name": _escaped(who),
                "ink": _ink(number),
                "x": [_escaped(places.occasion(evaluation)).replace(", ", "<br>") for evaluation in found[who]],
                "y": [_percent(estimate.value) for estimate in estimates],
                "hovertemplate": "%{y:.1f} %",
                **_whiskers("error_y", estimates),
            }


def _whiskers(axis: str, estimates: Sequence[Estimate]) -> Figure:
    """Plotly's error bars from value to the interval's ends; none where an estimate has no interval."""
    ends = [_reach(estimate) for estimate in estimates]
    if not any(above or below for above, below in ends):
        return {}
    above, below = zip(*ends, strict=True)
    return {axis: {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.5}}


def _reach(estimate: Estimate) -> tuple[float, float]:
    """How far the interval reaches above and below the value, in per cent."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return 0.0, 0.0
    return 100 * (estimate.high - estimate.value), 100 * (estimate.value - estimate.low)


def _each(
    runs: Sequence[Run], read: Callable[[Run, str], Mapping[str, Series]], name: str, part: str
) -> list[Series | None]:
    return [read(run, name).get(part) for run in runs]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _ink(number: int) -> str:
    return f"run-{number % N_COLOURS}"


def _escaped(text: str) -> str:
    """Names as plain text: plotly reads a little HTML in labels."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;")


def _title(name: str) -> str:
    return _sentence(name.replace("_", " "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
