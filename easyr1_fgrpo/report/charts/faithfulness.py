"""Charts of faithfulness: the accuracy-inconsistency front (FGRPO Figure 4) and benchmarks (Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from easyr1_fgrpo.report.charts.parts import Chart, Figure, Section, escaped, ink, percent, sentence, whiskers
from easyr1_fgrpo.report.evaluation_files import Evaluation
from easyr1_fgrpo.report.evaluations import METRICS
from easyr1_fgrpo.report.front import SOURCES, FrontPoint, fronts
from easyr1_fgrpo.report.measured_on import Places
from easyr1_fgrpo.report.run_files import Run
from easyr1_fgrpo.report.subjects import run_names, subject, subjects
from easyr1_fgrpo.report.trained_on import trained_on

COMPARED = ("accuracy", "faithful_accuracy", "inconsistency", "semantic_grounding", "spatial_grounding")


def front_sections(runs: Sequence[Run]) -> list[Section]:
    """The accuracy-inconsistency front over training (FGRPO Figure 4), one chart for each way of measuring."""
    numbers = subjects(runs)
    paths = {name: fronts(run) for name, run in zip(run_names(runs), runs, strict=True)}
    charts = []
    for source, what in SOURCES.items():
        data = [_path(name, numbers[name], path[source]) for name, path in paths.items() if source in path]
        if data:
            axes = {"xaxis": {"title": {"text": "accuracy %"}}, "yaxis": {"title": {"text": "inconsistency rate %"}}}
            charts.append(Chart(sentence(what), {"data": data, "layout": {**axes, "hovermode": "closest"}}))
    note = "\n".join(["Hollow is the first point, down and right is better.", *trained_on(runs, list(paths))])
    return [Section("Accuracy and inconsistency over training", note, charts)] if charts else []


def benchmark_sections(runs: Sequence[Run]) -> list[Section]:
    """Accuracy, inconsistency and grounding per benchmark with 95 % intervals (FGRPO Figure 3)."""
    charts = []
    for metric in COMPARED:
        data = list(_bars(runs, metric))
        if data:
            layout = {"barmode": "group", "yaxis": {"title": {"text": METRICS[metric]}, "range": [0, 105]}}
            charts.append(Chart(sentence(METRICS[metric]), {"data": data, "layout": layout}))
    note = "\n".join(["Whiskers: 95 % intervals.", *map(str, Places(runs).all)])
    return [Section("Benchmarks", note, charts)] if charts else []


def _path(name: str, number: int, path: Sequence[FrontPoint]) -> Figure:
    steps = ["after an unknown step" if point.step is None else f"step {point.step}" for point in path]
    symbols = ["circle-open", *["circle"] * (len(path) - 1)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escaped(name),
        "ink": ink(number),
        "x": [percent(point.accuracy.value) for point in path],
        "y": [percent(point.inconsistency.value) for point in path],
        "text": steps,
        "hovertemplate": "%{text}: accuracy %{x:.1f} %, inconsistency %{y:.1f} %",
        "marker": {"size": 9, "symbol": symbols},
        "line": {"width": 2},
        **whiskers("error_x", [point.accuracy for point in path]),
        **whiskers("error_y", [point.inconsistency for point in path]),
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
                "name": escaped(who),
                "ink": ink(number),
                "x": [escaped(places.occasion(evaluation)).replace(", ", "<br>") for evaluation in found[who]],
                "y": [percent(estimate.value) for estimate in estimates],
                "customdata": [escaped(evaluation.checkpoint or "unknown") for evaluation in found[who]],
                "hovertemplate": "%{y:.1f} %, checkpoint %{customdata}",
                **whiskers("error_y", estimates),
            }
