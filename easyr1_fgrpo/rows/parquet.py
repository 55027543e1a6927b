"""Rows in parquet files: their one Arrow schema, read and written a few rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from easyr1_fgrpo.files import replacing
from easyr1_fgrpo.rows.row import Row, explain

BATCH_ROWS = 64
"""Rows in memory at a time."""

GROUP_ROWS = 100
"""Rows of a parquet row group that is written: what a reader has in memory at a time."""

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary())]))

ROW_SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": _MESSAGES,
        "images": _IMAGES,
        "reward_model": pa.struct([("style", pa.string()), ("ground_truth", pa.string())]),
        "extra_info": pa.struct(
            [
                ("index", pa.int64()),
                ("split", pa.string()),
                ("question", pa.string()),
                ("choices", pa.list_(pa.string())),
                ("source", pa.string()),
                ("boxes", pa.list_(pa.list_(pa.float64()))),
                ("width", pa.int64()),
                ("height", pa.int64()),
                ("dataset", pa.string()),
                ("question_type", pa.string()),
                ("licence", pa.string()),
            ]
        ),
    }
)
"""A question, see `Row`. Beside what `ExtraInfo` says: `dataset` is the part of the source it comes from (gqa, coco),
`question_type` the source's own label, `licence` that of the annotations; "" or null where a source says nothing."""

CONVERSATION_SCHEMA = pa.schema({"messages": _MESSAGES, "images": _IMAGES})
"""A question with the response to imitate, as verl's supervised trainer reads it."""


def count_rows(path: str | Path) -> int:
    """Number of rows of a parquet file, from its footer."""
    rows: int = pq.read_metadata(path).num_rows
    return rows


def read_rows(path: str | Path) -> Iterator[Row]:
    """Read a file row by row, a batch in memory at a time; images stay encoded.

    Raises:
        ValueError: at the first row that is none, with file, row number and what is wrong. Whether images decode is
            left to `check_rows` and `Row.open_images`.
    """
    number = 0
    for batch in batches(path):
        for values in batch:
            try:
                yield Row.model_validate(values)
            except ValidationError as error:
                raise ValueError(f"{path} row {number}: {explain(error)}") from None
            number += 1


def batches(path: str | Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file as plain values, `BATCH_ROWS` at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=list(Row.model_fields)):
            yield batch.to_pylist()


def write_rows(path: str | Path, rows: Iterable[dict[str, Any]], schema: pa.Schema = ROW_SCHEMA) -> int:
    """Write one parquet file that appears in one step, `GROUP_ROWS` rows in memory at a time.

    Returns:
        How many rows were written.
    """
    with ParquetWriter(path, schema) as file:
        for row in rows:
            file.add(row)
    return file.written


class ParquetWriter:
    """One parquet file, which appears under its name when it is closed; the same rows give the same bytes.

    Used as a context manager: a block that ends with an error leaves no file.

    Attributes:
        written: rows so far.
    """

    def __init__(self, path: str | Path, schema: pa.Schema = ROW_SCHEMA) -> None:
        self.written = 0
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._open = ExitStack()
        part = self._open.enter_context(replacing(Path(path), only_writer=True))
        self._file = self._open.enter_context(pq.ParquetWriter(part, schema, compression="zstd"))

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self._rows.append(row)
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._open.close()

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._open.__exit__(kind, error, trace)

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self.written += len(self._rows)
            self._rows = []
