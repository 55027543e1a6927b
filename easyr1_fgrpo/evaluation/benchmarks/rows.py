"""Rows of published files, each of which ends as an item or as a reject."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from easyr1_fgrpo.evaluation.benchmarks.item import Item, Reject
from easyr1_fgrpo.published.pictures import OpenFile
from easyr1_fgrpo.published.records import parquet_columns

R = TypeVar("R")


class Table:
    """Rows of parquet files: any can be read again, and none is held in memory.

    `datasets` keeps them uncompressed in its cache and maps that from disk.

    Raises:
        ValueError: when a file is damaged or lacks a column.
    """

    def __init__(self, paths: Sequence[Path], columns: Collection[str]) -> None:
        for path in paths:
            check_columns(path, expected=columns, found=parquet_columns(path))
        from datasets import Dataset
        from datasets.exceptions import DatasetsError

        files = [str(path) for path in paths]
        try:
            self._rows = Dataset.from_parquet(files, columns=list(columns)).with_format("arrow")
        except (DatasetsError, OSError, pa.ArrowException) as error:
            raise ValueError(f"{', '.join(files)}: cannot be read as parquet ({error.__cause__ or error})") from error

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """A row as plain values; images stay encoded."""
        row: dict[str, Any] = self._rows[number].to_pylist()[0]
        return row

    def named_rows(self) -> Iterator[tuple[str, tuple[int, dict[str, Any]]]]:
        """Every row's name, number and values."""
        for number in range(len(self)):
            yield f"row {number}", (number, self[number])

    def files(self, number: int, column: str) -> list[OpenFile]:
        """Opens the images of a cell, one or a list of them.

        Raises:
            ValueError: when one of them has no bytes.
        """
        cells = self._cells(number, column)
        if not cells or not all(cells):
            raise ValueError(f"no image in column {column}")
        return [partial(self._open, number, column, index) for index in range(len(cells))]

    def _open(self, number: int, column: str, index: int) -> IO[bytes]:
        return BytesIO(self._cells(number, column)[index])

    def _cells(self, number: int, column: str) -> list[bytes]:
        cell = self[number][column]
        cells = cell if isinstance(cell, list) else [cell]
        return [item["bytes"] if isinstance(item, dict) else item for item in cells]


def check_columns(path: object, *, expected: Collection[str], found: Collection[str]) -> None:
    """Whether a file has all the columns that a benchmark was published with.

    Raises:
        ValueError: naming the file, what is missing, and what was expected and found.
    """
    if missing := [name for name in expected if name not in found]:
        raise ValueError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(expected)}; found {', '.join(found)}"
        )


def items_or_rejects(
    benchmark: str, rows: Iterable[tuple[str, R]], item_of: Callable[[R], Item]
) -> Iterator[Item | Reject]:
    """One item or reject for every row, so that items and rejects together are the rows.

    Args:
        benchmark: registry name.
        rows: each row's name and values.
        item_of: makes the item; raises ValueError where the row is none.
    """
    seen: set[str] = set()
    for name, row in rows:
        try:
            item = item_of(row)
            _check(item)
        except ValueError as error:
            yield Reject(benchmark, name, one_line(error))
            continue
        if item.id in seen:
            yield Reject(benchmark, name, f"the id {item.id} again")
            continue
        seen.add(item.id)
        yield item


def _check(item: Item) -> None:
    if not item.question.strip() or not item.answer.strip() or not all(choice.strip() for choice in item.choices):
        raise ValueError("the question, the answer or a choice is blank")


def one_line(error: ValueError) -> str:
    """What is wrong, in one line."""
    if not isinstance(error, ValidationError):
        return str(error).partition("\n")[0]
    parts = ((".".join(map(str, part["loc"])), part["msg"]) for part in error.errors(include_url=False))
    return "; ".join(f"{name}: {message}" if name else message for name, message in parts)
