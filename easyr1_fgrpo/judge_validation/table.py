"""A validation's report on the terminal. What could not be measured is printed as "–"."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from easyr1_fgrpo.judge_validation.report import NO_VERDICT, Agreement, Report
from easyr1_fgrpo.statistics import Estimate
from easyr1_fgrpo.tables import NOTHING
from easyr1_fgrpo.terminal import printable

MOST_CAUSE = 200
"""Characters of a failure's cause that are shown."""


def report_tables(report: Report) -> Group:
    """Everything a person wants to see, from what was read to what was missed."""
    parts: list[RenderableType] = [Text(_read(report)), _agreements(report)]
    parts += [_confusion(item) for item in report.agreements]
    parts += [_planted(report), *(Text(item.line) for item in report.planted)]
    return Group(*parts)


def _read(report: Report) -> str:
    beyond = report.records_read - report.records_used
    return (
        f"{report.records_used} of {report.records_read} records ({beyond} beyond --limit); left out of the files: "
        f"{report.damaged_lines} damaged lines, {report.repeated_records} repeated records"
    )


def _agreements(report: Report) -> Table:
    table = Table(box=box.SIMPLE, title="agreement with the reference", caption="value (n), below it the 95 % interval")
    table.add_column(no_wrap=True)
    for item in report.agreements:
        table.add_column(f"{item.question}", justify="right", overflow="fold")
    for title, *cells in zip(*(_agreement_rows(item) for item in report.agreements), strict=True):
        table.add_row(title[0], *(Text(cell) for _, cell in (title, *cells)))
    return table


def _agreement_rows(item: Agreement) -> Iterator[tuple[str, str]]:
    references = ", ".join(f"{printable(name)} ({n})" for name, n in item.references.items())
    yield "judge", printable(item.judge)
    yield "reference", references or NOTHING
    yield "agreement %", _percent(item.agreement)
    yield "kappa", _number(item.kappa, scale=1.0, digits=3, n=f" ({item.kappa.n})")
    yield "false negatives %", _percent(item.errors.false_negative)
    yield "false positives %", _percent(item.errors.false_positive)
    yield "unjudged %", _percent(item.unjudged_share)
    yield "flipped, asked twice %", NOTHING if item.retest is None else _percent(item.retest.flips)
    yield "  unjudged then", NOTHING if item.retest is None else str(item.retest.unjudged)
    yield "questions", str(item.questions)
    yield "  judged", str(item.judged)
    yield "  unjudged", _reasons(item.unjudged, item.failures) + _cause(item)
    yield "  left out", _reasons(sum(item.left_out.values()), item.left_out)


def _reasons(total: int, by_reason: dict[str, int]) -> str:
    listed = "\n".join(f"{reason} {n}" for reason, n in by_reason.items())
    return f"{total}\n{listed}" if listed else str(total)


def _cause(item: Agreement) -> str:
    return f"\nfirst: {printable(item.first_cause)[:MOST_CAUSE]}" if item.first_cause else ""


def _confusion(item: Agreement) -> Table:
    table = Table(box=box.SIMPLE, title=f"{item.question}: reference by rows, judge by columns")
    table.add_column()
    for label in item.confusion[NO_VERDICT]:
        table.add_column(label, justify="right")
    for label, cells in item.confusion.items():
        table.add_row(label, *(str(n) for n in cells.values()))
    return table


def _planted(report: Report) -> Table:
    table = Table(
        box=box.SIMPLE,
        pad_edge=False,
        title="planted errors",
        caption="caught: the verdict changed to NO or INCORRECT; right: the verdict on the unchanged text was YES or "
        "CORRECT; unsuited: the text allows no such error; spared: enough were made",
    )
    table.add_column(no_wrap=True)
    for column in ("caught %", "orig.\nright %", "n", "un-\njudged", "un-\nsuited", "spared"):
        table.add_column(column, justify="right", no_wrap=True)
    for item in report.planted:
        counts = (item.caught.n, item.unjudged, item.unsuitable, item.spared)
        right = _number(item.originals_right).partition("\n")[0]  # its interval is in the file: 80 columns are few
        table.add_row(item.name, _number(item.caught), right, *map(str, counts))
    return table


def _percent(estimate: Estimate) -> str:
    return _number(estimate, n=f" ({estimate.n})")


def _number(estimate: Estimate, *, scale: float = 100.0, digits: int = 1, n: str = "") -> str:
    """The value and, below it, its interval where it has one."""
    if estimate.value is None:
        return f"{NOTHING}{n}"
    shown = f"{scale * estimate.value:.{digits}f}{n}"
    if estimate.low is None or estimate.high is None:
        return shown
    return f"{shown}\n{scale * estimate.low:.{digits}f}–{scale * estimate.high:.{digits}f}"
