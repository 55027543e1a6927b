"""Tables for a document, a spreadsheet, a paper and the terminal. No value is "–", never 0."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from tabulate import DataRow, TableFormat, tabulate

from easyr1_fgrpo.statistics import Estimate

NOTHING = "–"
"""What stands where nothing could be measured."""

Cell = Estimate | str | None
"""An estimate is shown in per cent with its 95 % interval, a text as it is."""

_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|])")


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        name: of its files.
        title, caption: above and below it.
        header: of all columns.
        labels: how many columns on the left are words.
        rows: cells by column.
        signed: numbers are differences.
    """

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    labels: int
    rows: tuple[tuple[Cell, ...], ...]
    signed: bool = False

    def markdown(self) -> str:
        """As a Markdown table under its title."""
        rows = [[" ".join(self._lines(cell)) for cell in row] for row in self.rows]
        table = markdown_table(self.header, rows, labels=self.labels)
        return f"**{markdown_text(self.title)}**\n\n{table}\n\n{markdown_text(self.caption)}\n"

    def csv(self) -> str:
        """As CSV; an estimate has four columns: value, low, high (shares, not per cent) and n."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        wide = [any(isinstance(row[column], Estimate) for row in self.rows) for column in range(len(self.header))]
        names = zip(self.header, wide, strict=True)
        writer.writerow([part for name, spread in names for part in (_columns(name) if spread else [name])])
        for row in self.rows:
            cells = zip(row, wide, strict=True)
            writer.writerow([part for cell, spread in cells for part in _parts(cell, spread)])
        return file.getvalue()

    def latex(self) -> str:
        """As a LaTeX table; intervals are set small."""
        rows = [[self._latex_cell(cell) for cell in row] for row in self.rows]
        sides = ["left"] * self.labels + ["right"] * (len(self.header) - self.labels)
        header = list(map(latex_text, self.header))
        body = tabulate(rows, header, tablefmt="latex_raw", colalign=sides, disable_numparse=True)
        caption = f"{latex_text(self.title)}. {latex_text(self.caption)}"
        return f"\\begin{{table}}\n\\caption{{{caption}}}\n{body}\n\\end{{table}}\n"

    def rich(self) -> Table:
        """For the terminal; intervals stand below their values."""
        table = Table(title=_plain(self.title), caption=_plain(self.caption), box=box.SIMPLE, title_justify="left")
        table.caption_justify = "left"
        for column, name in enumerate(self.header):
            table.add_column(_plain(name), justify="left" if column < self.labels else "right")
        for row in self.rows:
            table.add_row(*(_plain("\n".join(self._lines(cell))) for cell in row))
        return table

    def _lines(self, cell: Cell) -> list[str]:
        """A cell's value and, where there is one, its interval."""
        if isinstance(cell, str):
            return [cell]
        if cell is None or cell.value is None:
            return [NOTHING]
        value = self._number(cell.value)
        if cell.low is None or cell.high is None:
            return [value]
        between = " to " if self.signed else "–"
        return [value, f"({self._number(cell.low)}{between}{self._number(cell.high)})"]

    def _latex_cell(self, cell: Cell) -> str:
        value, *interval = map(latex_text, self._lines(cell))
        return f"{value} {{\\scriptsize {interval[0]}}}" if interval else value

    def _number(self, value: float) -> str:
        return f"{100 * value:+.1f}" if self.signed else f"{100 * value:.1f}"


def markdown_table(
    header: Sequence[Any], rows: Iterable[Sequence[Any]], *, labels: int = 1, escape: bool = True
) -> str:
    """A table of Markdown, without the blanks that would line its source up: they would change with the longest cell.

    Args:
        header: names of the columns.
        rows: cells as they are shown.
        labels: how many columns on the left are words; the others are set to the right, as numbers are.
        escape: whether cells are plain text; False for cells that are Markdown already.
    """
    rule = f"| {' | '.join(['---'] * labels + ['---:'] * (len(header) - labels))} |"
    line = DataRow("|", "|", "|")
    style = TableFormat(None, lambda widths, sides: rule, None, None, line, line, 1, None)
    write = markdown_text if escape else str
    cells = [[write(cell) for cell in row] for row in rows]
    return tabulate(cells, [write(name) for name in header], style, stralign=None, disable_numparse=True)


def markdown_text(text: Any) -> str:
    """Plain text in one line, without any character that Markdown takes for a command."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def latex_text(text: str) -> str:
    """Text without any character that LaTeX takes for a command."""
    return "".join(_LATEX.get(char, char) for char in text if char.isprintable())


def _plain(text: str) -> str:
    """Text in which rich sees no markup."""
    return text.replace("[", "\\[")


def _columns(name: str) -> list[str]:
    return [name, *(f"{name} {part}" for part in ("low", "high", "n"))]


def _parts(cell: Cell, spread: bool) -> Sequence[str | float | None]:
    if isinstance(cell, Estimate):
        return [cell.value, cell.low, cell.high, cell.n]
    return [cell, "", "", ""] if spread else [cell]
