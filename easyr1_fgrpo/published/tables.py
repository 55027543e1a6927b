"""Tables: CSV, TSV and xlsx, each row under the names of the first."""

from __future__ import annotations

import csv
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from easyr1_fgrpo.published import lines
from easyr1_fgrpo.published.lines import encoding_of, text_lines
from easyr1_fgrpo.published.record import Malformed, Record, first_line

_EXCEL = re.compile(r"sep=.\s*", re.IGNORECASE)
"""A first line by which Excel knows the separator."""


def sheet(path: Path) -> Iterator[Record]:
    """Rows of a workbook's first sheet under its first row, empty cells None; another such sheet is an error."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise ValueError(f"{path}: openpyxl is not installed, which reads .xlsx: pip install openpyxl") from None
    try:
        sheets = load_workbook(path, read_only=True, data_only=True).worksheets
        rows = sheets[0].iter_rows(values_only=True)
        first = next(rows, ())
        header = [str(name) if name is not None else "" for name in first]
        _no_name_twice(path, header)
        for other in sheets[1:]:
            if next(other.iter_rows(values_only=True), ()) == first:
                raise ValueError(f"{path}: sheet {other.title!r} has the first one's columns: save it as another file")
        for row in rows:
            if any(value is not None for value in row):
                yield {name: value for name, value in zip(header, row, strict=False) if name}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read as .xlsx ({first_line(error)})") from None


def table(path: Path) -> Iterator[Record]:
    """Rows of a file with a header, separated by commas, semicolons or tabs: by what the header has most of."""
    usual = csv.field_size_limit(lines.MAX_RECORD)  # a cell may hold a picture; the limit is the process's
    try:
        with path.open(encoding=encoding_of(path), newline="") as file:
            rows = text_lines(file)
            header = next(rows, "")
            if _EXCEL.fullmatch(header):
                header = next(rows, "")
            separator = max(",;\t", key=header.count)
            yield from _rows(path, csv.reader(chain([header], rows), delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: cannot be read as CSV, its text is not UTF-8 ({first_line(error)}); iconv -f latin1 -t utf-8 "
            "makes it so, where it is Latin-1"
        ) from None
    finally:
        csv.field_size_limit(usual)


def _rows(path: Path, cells: Any) -> Iterator[Record]:
    """Rows under the names of the first one; a quote that is left open would eat rows, and is an error."""
    try:
        names: list[str] = next(cells, [])
        _no_name_twice(path, names)
        for row in cells:
            if len(row) > len(names):
                yield Malformed("more cells than the header")
            elif row:
                yield dict(zip_longest(names, row))
    except csv.Error as error:
        raise ValueError(
            f"{path}: cannot be read as CSV (line {cells.line_num}: {first_line(error)}); in a quoted cell quotes are "
            "written twice"
        ) from None


def _no_name_twice(path: Path, header: Sequence[str]) -> None:
    if twice := [name for name, times in Counter(header).items() if times > 1 and name]:
        raise ValueError(f"{path}: its header names the column {twice[0]!r} twice; give one another name")
