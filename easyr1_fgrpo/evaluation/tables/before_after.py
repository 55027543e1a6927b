"""The last table of a run: its checkpoints on the same questions. What could not be measured is printed as "–"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from easyr1_fgrpo.evaluation.results.results import BenchmarkResult, Evaluation
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.tables import NOTHING

_MAIN = {
    "accuracy": "accuracy %",
    "faithful_accuracy": "faithful accuracy %",
    "inconsistency": "inconsistency rate %",
    "semantic_grounding": "semantic grounding %",
    "spatial_grounding": "spatial grounding %",
    "format": "format %",
    "truncated": "truncated %",
    "response_tokens": "response tokens",
}
_INTERVAL_NOTE = "value (n), below it the 95 % interval"


def results_table(evaluation: Evaluation, extra: Mapping[str, Mapping[str, str]] | None = None) -> Table:
    """One column per checkpoint and mode.

    Args:
        evaluation: on one benchmark.
        extra: further rows: title -> checkpoint's name -> text, for example multipliers.
    """
    results = evaluation.results
    caption = Text(f"{_INTERVAL_NOTE}\n{evaluation.measured_on}")
    table = Table(box=box.SIMPLE, caption=caption, caption_justify="left")
    table.add_column()
    for result in results:
        table.add_column(f"{result.model}\n{result.mode}", justify="right")
    for title, cells in _rows(results, extra or {}):
        table.add_row(title, *("\n".join(cell) for cell in cells))
    return table


# ---------------------------------------------------------------------- cells


def _rows(
    results: Sequence[BenchmarkResult], extra: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Titles and cells; a cell is a value and, where there is one, its interval."""
    rows = []
    for name, title in _MAIN.items():
        rows.append((title, [_estimate(name, result.metrics[name]) for result in results]))
        if name == "inconsistency":
            rows += [
                ("  its bounds %", [(_bounds(result),) for result in results]),
                ("  unparsable %", [_plain("unparsable", result) for result in results]),
                ("  unjudged %", [_plain("unjudged", result) for result in results]),
            ]
        if name == "semantic_grounding":
            rows += [
                ("  no claim %", [_plain("no_claim", result) for result in results]),
                ("  unjudged %", [_plain("grounding_unjudged", result) for result in results]),
            ]
    rows += [(title, [(by_name.get(result.model, NOTHING),) for result in results]) for title, by_name in extra.items()]
    return rows


def _estimate(name: str, estimate: Estimate) -> tuple[str, ...]:
    if estimate.value is None:
        return (NOTHING,)
    interval = _interval(name, estimate)
    return (f"{_number(name, estimate.value)} ({estimate.n})", *([interval] if interval else []))


def _plain(name: str, result: BenchmarkResult) -> tuple[str]:
    return (_number(name, result.metrics[name].value),)


def _bounds(result: BenchmarkResult) -> str:
    low, high = result.metrics["inconsistency_at_least"], result.metrics["inconsistency_at_most"]
    return NOTHING if low.value is None else f"{_number('', low.value)}–{_number('', high.value)}"


def _interval(name: str, estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{_number(name, estimate.low)}–{_number(name, estimate.high)}"


def _number(name: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value if name == 'response_tokens' else 100 * value:.1f}"
