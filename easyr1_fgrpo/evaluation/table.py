"""Results as tables: rich for the terminal, Markdown for documents. What could not be measured is printed as "–"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from easyr1_fgrpo.evaluation.results import Result
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.tables import NOTHING, markdown_table

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


def results_table(results: Sequence[Result], extra: Mapping[str, Mapping[str, str]] | None = None) -> Table:
    """One column per checkpoint and mode.

    Args:
        results: what to show.
        extra: further rows: title -> checkpoint's name -> text, for example multipliers.
    """
    table = Table(box=box.SIMPLE, caption=_INTERVAL_NOTE, caption_justify="left")
    table.add_column()
    for result in results:
        table.add_column(f"{result.name}\n{result.inputs.mode}", justify="right")
    for title, cells in _rows(results, extra or {}):
        table.add_row(title, *("\n".join(cell) for cell in cells))
    return table


def results_markdown(results: Sequence[Result], extra: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The same table in Markdown."""
    header = ["", *(f"{result.name}, {result.inputs.mode}" for result in results)]
    rows = [[title, *(" ".join(cell) for cell in cells)] for title, cells in _rows(results, extra or {})]
    return markdown_table(header, rows, escape=False)


def comparison_table(first: Result, second: Result, differences: Mapping[str, Estimate]) -> Table:
    """Two results and their paired differences."""
    title = f"{second.name} minus {first.name}, {second.inputs.mode}"
    table = Table(
        box=box.SIMPLE, title=title, caption="paired over questions with both values, 95 % bootstrap interval"
    )
    for column in ("", first.name, second.name, "difference", "95 % interval", "pairs"):
        table.add_column(column, justify="right" if column else "left")
    for name, difference in differences.items():
        table.add_row(
            _MAIN[name],
            _number(name, first.metrics[name].value),
            _number(name, second.metrics[name].value),
            _number(name, difference.value, signed=True),
            _interval(name, difference, signed=True) or NOTHING,
            str(difference.n),
        )
    return table


# ---------------------------------------------------------------------- cells


def _rows(results: Sequence[Result], extra: Mapping[str, Mapping[str, str]]) -> list[tuple[str, list[tuple[str, ...]]]]:
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
    rows += [(title, [(by_name.get(result.name, NOTHING),) for result in results]) for title, by_name in extra.items()]
    return rows


def _estimate(name: str, estimate: Estimate) -> tuple[str, ...]:
    if estimate.value is None:
        return (NOTHING,)
    interval = _interval(name, estimate)
    return (f"{_number(name, estimate.value)} ({estimate.n})", *([interval] if interval else []))


def _plain(name: str, result: Result) -> tuple[str]:
    return (_number(name, result.metrics[name].value),)


def _bounds(result: Result) -> str:
    low, high = result.metrics["inconsistency_at_least"], result.metrics["inconsistency_at_most"]
    return NOTHING if low.value is None else f"{_number('', low.value)}–{_number('', high.value)}"


def _interval(name: str, estimate: Estimate, *, signed: bool = False) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    between = " to " if signed else "–"
    return f"{_number(name, estimate.low, signed=signed)}{between}{_number(name, estimate.high, signed=signed)}"


def _number(name: str, value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return NOTHING
    scaled = value if name == "response_tokens" else 100 * value
    return f"{scaled:+.1f}" if signed else f"{scaled:.1f}"
