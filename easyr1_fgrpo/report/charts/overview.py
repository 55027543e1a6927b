"""The small charts above the tables: what RL changed, what was asked of constraints and what came, multipliers."""

from __future__ import annotations

from collections.abc import Sequence

from easyr1_fgrpo.evaluation.results.results import AFTER, BEFORE
from easyr1_fgrpo.report.charts.parts import (
    DASHES,
    Chart,
    Figure,
    Section,
    curve,
    escaped,
    ink,
    key,
    percent,
    whiskers,
)
from easyr1_fgrpo.report.constraints import LATELY, ConstraintRow, as_measured, constraint_rows
from easyr1_fgrpo.report.evaluations import WHEN, before_of, sampled_first
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.series import constraint_names, constraint_series
from easyr1_fgrpo.report.subjects import run_names, subjects
from easyr1_fgrpo.report.trained_on import trained_on

LINES = {"accuracy": ("solid", "circle"), "faithful_accuracy": ("dot", "diamond")}
"""How each metric is drawn."""


def overview_section(runs: Sequence[Run]) -> Section:
    """The charts that the runs have something for."""
    found = [*_before_after(runs), _asked_and_got(runs), _multipliers(runs)]
    places = Places(runs)
    held_out = {str(places.of(after)): None for run in runs for after in sampled_first(run)}
    names = run_names(runs)
    note = "\n".join([*held_out, *trained_on(runs, names), *as_measured(runs, names)])
    return Section("", note, [chart for chart in found if chart])


def _before_after(runs: Sequence[Run]) -> list[Chart]:
    """Accuracy against faithful accuracy, one chart for each place that runs were measured in."""
    numbers, places = subjects(runs), Places(runs)
    data: dict[str, list[Figure]] = {}
    for name, run in zip(run_names(runs), runs, strict=True):
        after = next(iter(sampled_first(run)), None)
        before = before_of(run, after) if after else None
        if after is None or before is None:
            continue
        mine = data.setdefault(places.where(after), [])
        for metric, (dash, symbol) in LINES.items():
            both = [each.metrics[metric] for each in (before, after) if metric in each.metrics]
            checkpoints = [escaped(each.checkpoint or "unknown") for each in (before, after)]
            if len(both) == 2:
                mine.append({
                    "type": "scatter", "mode": "lines+markers", "ink": ink(numbers[name]),
                    "name": escaped(f"{name}: {_words(metric)}"),
                    "x": [WHEN[BEFORE], WHEN[AFTER]], "y": [percent(one.value) for one in both],
                    "line": {"dash": dash, "width": 2}, "marker": {"symbol": symbol, "size": 8},
                    "customdata": checkpoints, "hovertemplate": "%{y:.1f} %, checkpoint %{customdata}",
                    **whiskers("error_y", both),
                })  # fmt: skip
    keys = [
        key(_words(metric), mode="lines+markers", line={"dash": dash}, marker={"symbol": symbol})
        for metric, (dash, symbol) in LINES.items()
    ]
    layout = {
        "xaxis": {"type": "category", "range": [-0.25, 1.25], "showgrid": False},
        "yaxis": {"ticksuffix": " %", "rangemode": "nonnegative"},
        "showlegend": True,
    }
    return [
        Chart(f"Accuracy and faithful accuracy, {where}", {"data": [*lines, *keys], "layout": layout})
        for where, lines in data.items()
    ]


def _asked_and_got(runs: Sequence[Run]) -> Chart | None:
    rows = constraint_rows(runs)
    names = list(dict.fromkeys(row.name for row in rows))[::-1]  # plotly counts from below
    if not rows:
        return None
    by_run: dict[str, list[ConstraintRow]] = {}
    for row in rows:
        by_run.setdefault(row.run, []).append(row)
    data: list[Figure] = []
    for place, (run, mine) in enumerate(by_run.items()):
        shift = 0.5 * (len(by_run) - 1 - 2 * place) / max(2, len(by_run))
        at = [names.index(row.name) + shift for row in mine]
        common = {"type": "scatter", "mode": "markers", "y": at, "ink": ink(mine[0].number)}
        got = {"x": [row.true_rate.value for row in mine], "marker": {"size": 10, "symbol": [
            "circle-open" if row.met is None else "circle" for row in mine
        ]}}  # fmt: skip
        asked = {"x": [row.asked.value for row in mine], "marker": {
            "size": 20, "symbol": "line-ns-open", "line": {"width": 3}
        }}  # fmt: skip
        data.append(common | got | {"name": escaped(f"{run}: got"), "hovertemplate": "%{x:.3f}"})
        data.append(common | asked | {"name": escaped(f"{run}: asked"), "hovertemplate": "%{x:.3f}"})
    line = {"size": 14, "symbol": "line-ns-open", "line": {"width": 3}}
    data += [key("asked", mode="markers", marker=line), key(f"got, mean of the last {LATELY} steps", mode="markers")]
    ticks = {"tickvals": list(range(len(names))), "ticktext": [escaped(_words(name)) for name in names]}
    layout = {
        "yaxis": {**ticks, "range": [-0.6, len(names) - 0.4], "showgrid": False, "zeroline": False},
        "showlegend": True,
        "hovermode": "closest",
    }
    return Chart("Constraints, asked and got", {"data": data, "layout": layout})


def _multipliers(runs: Sequence[Run]) -> Chart | None:
    numbers, names = subjects(runs), constraint_names(runs)
    dashes = {name: DASHES[index % len(DASHES)] for index, name in enumerate(names)}
    data = [
        curve(f"{run_name}: {_words(name)}", numbers[run_name], series["multiplier"], dashes[name])
        for run_name, run in zip(run_names(runs), runs, strict=True)
        for name in names
        if "multiplier" in (series := constraint_series(run, name))
    ]
    if not data:
        return None
    drawn = [name for name in names if any("multiplier" in constraint_series(run, name) for run in runs)]
    keys = [key(_words(name), mode="lines", line={"dash": dashes[name]}) for name in drawn]
    top = max(value for one in data for value in one["y"])
    layout = {
        "xaxis": {"title": {"text": "step", "standoff": 4}},
        "yaxis": {"range": [0, 1.08 * top or 1.0]},
        "hovermode": "x unified",
        "showlegend": True,
    }
    return Chart("Multipliers", {"data": [*data, *keys], "layout": layout})


def _words(name: str) -> str:
    return name.replace("_", " ")
