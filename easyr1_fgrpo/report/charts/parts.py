"""What charts are made of: curves, whiskers, names, and the sections that charts stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from easyr1_fgrpo.report.run_files import Series
from easyr1_fgrpo.report.traces.view import visible
from easyr1_fgrpo.statistics import Estimate

N_COLOURS = 8
DASHES = ("solid", "dash", "dot", "dashdot")

Figure = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One chart: what it shows and its plotly figure."""

    title: str
    figure: Figure


@dataclass(frozen=True)
class Section:
    """Charts that belong together, with what a reader has to know of them; `folded` until it is asked for."""

    title: str
    note: str
    charts: list[Chart] = field(default_factory=list)
    folded: bool = False

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return self.title.lower().replace(" ", "-")


def curve(name: str, number: int, series: Series, dash: str = "solid") -> Figure:
    """A line over steps; the page smooths those with `smooth`."""
    return {
        "type": "scatter",
        "mode": "lines" if len(series.steps) > 1 else "markers",
        "name": escaped(name),
        "ink": ink(number),
        "x": series.steps,
        "y": series.values,
        "line": {"dash": dash, "width": 2 if dash != "dot" else 1.5},
    }


def key(name: str, **look: Any) -> Figure:
    """An entry of a chart's own legend, for what colours do not say."""
    return {
        "type": "scatter",
        "name": escaped(name),
        "ink": "muted",
        "x": [None],
        "y": [None],
        "showlegend": True,
    } | look


def whiskers(axis: str, estimates: Sequence[Estimate]) -> Figure:
    """Plotly's error bars from value to the interval's ends; none where no estimate has an interval."""
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


def percent(value: float | None) -> float | None:
    """A share in per cent."""
    return None if value is None else 100 * value


def ink(number: int) -> str:
    """The colour of a run or model."""
    return f"run-{number % N_COLOURS}"


def escaped(text: str) -> str:
    """Names as plain text: plotly reads a little HTML in labels."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;")


def title(name: str) -> str:
    """A name of the metrics as a title."""
    return sentence(name.replace("_", " "))


def sentence(text: str) -> str:
    """With a capital letter in front."""
    return text[:1].upper() + text[1:]
