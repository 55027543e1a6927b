"""Training dynamics (FGRPO Figure 8), the judges and the ordinary curves of RL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from easyr1_fgrpo.report.alarms import Alarm, alarms, stretches
from easyr1_fgrpo.report.charts.parts import DASHES, N_COLOURS, Chart, Figure, Section, curve, sentence, title
from easyr1_fgrpo.report.constraints import as_measured
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
from easyr1_fgrpo.report.subjects import run_names, subjects
from easyr1_fgrpo.report.trained_on import trained_on

ALARM_HEIGHT = 0.035
"""Of the red line below a chart, as a share of it."""


def training_sections(runs: Sequence[Run]) -> list[Section]:
    """All sections; those and the charts without any measurement are left out."""
    names = constraint_names(runs)
    parts = {name: [constraint_series(run, name) for run in runs] for name in names}
    alarmed = [alarms(run) for run in runs]

    def of_constraints(part: str, limit: str = "") -> list[Chart]:
        charts = [
            _chart(
                runs,
                title(name),
                [found.get(part) for found in parts[name]],
                [found.get(limit) for found in parts[name]] if limit else None,
                limit,
                [alarm for found in alarmed for alarm in found if alarm.constraint in ("", name)],
            )
            for name in names
        ]
        return [chart for chart in charts if chart]

    shares = of_constraints("share")
    if task := _chart(runs, "Task reward", [run.metrics.get("fgrpo/task/share") for run in runs]):
        shares.insert(0, task)
    judges = [
        chart
        for question in judge_questions(runs)
        for part, what in JUDGE_PARTS.items()
        if (chart := _chart(runs, f"{title(question)}: {what}", _each(runs, judge_series, question, part)))
    ]
    rl = [
        chart
        for one in RL_CURVES
        if (chart := _chart(runs, title(one.label), [run.metrics.get(one.key) for run in runs]))
    ]
    note = [
        "Batch score of each constraint (Eq. 5); dotted: its threshold. Where a constraint does not act, the signal's "
        "mean. Red below a chart: steps at which it was not measured, or nothing had variance.",
        *trained_on(runs, run_names(runs)),
        *as_measured(runs, run_names(runs)),
    ]
    sections = [
        Section("Scores and thresholds", "\n".join(note), of_constraints("score", "threshold")),
        Section("Multipliers", "Multiplier of each constraint (Eq. 4); dotted, where it comes near: its cap.",
                [_with_cap(chart) for chart in of_constraints("multiplier", "cap")]),
        Section("Share of the advantage", "Mean size of each signal's part of the advantage, of all parts (Eq. 6).",
                shares),
        Section("Applicable rollouts", f"{sentence(CONSTRAINT_PARTS['applicable_share'])}.",
                of_constraints("applicable_share"), folded=True),
        Section("Groups without variance", "Share of groups in which a signal is constant and so has no gradient.",
                of_constraints("zero_variance"), folded=True),
        Section("Judges", "How the judges did, step by step.", judges, folded=True),
        Section("Reinforcement learning", "The ordinary curves.", rl),
    ]  # fmt: skip
    return [section for section in sections if section.charts]


def smoothing(runs: Sequence[Run]) -> int:
    """Steps over which curves are averaged at first, 1 for none: what a chart's width can show."""
    n_steps = max((len(series.steps) for run in runs for series in run.metrics.values()), default=0)
    return 1 if n_steps < 40 else 10 if n_steps < 400 else 50


def _chart(
    runs: Sequence[Run],
    what: str,
    series: Sequence[Series | None],
    limits: Sequence[Series | None] | None = None,
    limit: str = "",
    alarmed: Sequence[Alarm] = (),
) -> Chart | None:
    """Each run's curve, its limit as a dotted line, and alarms in red below; None when no run has a curve."""
    numbers = subjects(runs)
    data = []
    for index, (name, own) in enumerate(zip(run_names(runs), series, strict=True)):
        if own is None:
            continue
        number = numbers[name]
        data.append(curve(name, number, own, DASHES[number // N_COLOURS % 2]) | {"smooth": limit != "cap"})
        if limits and (bound := limits[index]) is not None:
            data.append(curve(f"{name}: {limit}", number, bound, "dot"))
    layout = {
        "xaxis": {"title": {"text": "step"}},
        "yaxis": {"rangemode": "nonnegative"},
        "hovermode": "x unified",
        "shapes": [_red(*ends) for alarm in alarmed for ends in stretches(alarm.steps)],
    }
    return Chart(what, {"data": data, "layout": layout}) if data else None


def _red(first: int, last: int) -> Figure:
    """A red line below a chart, from half a step before to half a step after."""
    ends = {"x0": first - 0.5, "x1": last + 0.5, "y0": 0, "y1": ALARM_HEIGHT}
    return {"type": "rect", "ink": "ungrounded", "yref": "paper", "line": {"width": 0}, **ends}


def _with_cap(chart: Chart) -> Chart:
    """The axis fits the multipliers; the cap is far above them as a rule and stands in the title."""
    data = chart.figure["data"]
    caps = sorted({value for one in data if one["line"]["dash"] == "dot" for value in one["y"]})
    top = max((value for one in data if one["line"]["dash"] != "dot" for value in one["y"]), default=0.0)
    axis = {"range": [0, 1.08 * top or 1.0]}
    named = f"{chart.title}, cap {' or '.join(f'{cap:g}' for cap in caps)}" if caps else chart.title
    return Chart(named, chart.figure | {"layout": chart.figure["layout"] | {"yaxis": axis}})


def _each(
    runs: Sequence[Run], read: Callable[[Run, str], Mapping[str, Series]], name: str, part: str
) -> list[Series | None]:
    return [read(run, name).get(part) for run in runs]
