"""Records of published files: parquet, JSON lines, a JSON array, CSV, xlsx; these never whole in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from easyr1_fgrpo.published import lines
from easyr1_fgrpo.published.lines import encoding_of, numbered_lines
from easyr1_fgrpo.published.record import Malformed, Record, first_line
from easyr1_fgrpo.published.tables import sheet, table

_BATCH_ROWS = 64
_CHUNK = 1 << 20


def read_records(paths: Sequence[Path], start: int = 0) -> Iterator[Record]:
    """The records of several files, one after the other, from number `start` on.

    A record without names of its own, a JSON array, has its values' numbers for names: "0", "1", ... NaN, which pandas
    writes for a missing value, is None.

    Raises:
        ValueError: when a file cannot be read; a damaged line of a JSON-lines file is `Malformed` instead.
    """
    for path in paths:
        if path.suffix.lower() == ".parquet":
            rows = _parquet_rows(path)
            yield from map(_clean, _parquet(path, start))
            start = max(0, start - rows)
        else:
            for record in _text_records(path):
                if start:
                    start -= 1
                else:
                    yield _clean(record)


def _clean(record: Record) -> Record:
    try:
        return _without_nan(record)  # type: ignore[no-any-return]
    except RecursionError:
        return Malformed("it is nested too deeply")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def count_records(paths: Sequence[Path]) -> int | None:
    """How many records the files hold; None where only reading would tell."""
    if all(path.suffix == ".parquet" for path in paths):
        return sum(_parquet_rows(path) for path in paths)
    if all(path.suffix == ".jsonl" for path in paths):
        return sum(1 for path in paths for _ in numbered_lines(path))
    return None


# ---------------------------------------------------------------------- parquet


def parquet_columns(path: Path) -> list[str]:
    """Names of a parquet file's columns.

    Raises:
        ValueError: when it is damaged.
    """
    return list(_footer(path).schema.to_arrow_schema().names)


def _parquet_rows(path: Path) -> int:
    return int(_footer(path).num_rows)


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: cannot be read as parquet ({first_line(error)})") from None


def _parquet(path: Path, start: int) -> Iterator[Record]:
    """Rows from number `start` on, in batches within a row group: SAT's training file is one group of 4.9 GiB.

    Pages are read through a buffer; without one, pyarrow would read a row group's whole column first. What is in memory
    is then a few pages of the file; pyarrow's writers put 1,024 rows in a page.
    """
    try:
        with pq.ParquetFile(path, buffer_size=_CHUNK, pre_buffer=False) as file:
            groups = list(range(file.num_row_groups))
            while groups and start >= (rows := file.metadata.row_group(groups[0]).num_rows):
                start -= rows
                groups.pop(0)
            if not groups:
                return
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups):
                if start < batch.num_rows:
                    yield from batch.slice(start).to_pylist()
                start = max(0, start - batch.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: cannot be read as parquet ({first_line(error)})") from None


# ---------------------------------------------------------------------- JSON and CSV


def _text_records(path: Path) -> Iterator[Record]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return (_record(line) for _, line in numbered_lines(path))
    if suffix == ".json":
        return _array(path)
    if suffix in (".csv", ".tsv"):
        return table(path)
    if suffix == ".xlsx":
        return sheet(path)
    raise ValueError(f"{path}: neither .parquet nor .jsonl nor .json nor .csv nor .tsv nor .xlsx")


def filled_lines(path: Path) -> Iterator[int]:
    """The numbers of the lines that are records, from 1."""
    return (number for number, _ in numbered_lines(path))


def _record(line: bytes) -> Record:
    if len(line) > lines.MAX_RECORD:
        return Malformed(f"a line of more than {lines.MAX_RECORD:,} bytes")
    try:
        value = json.loads(line)
    except RecursionError:
        return Malformed("it is nested too deeply")
    except ValueError as error:
        return Malformed(first_line(error))
    return _named(value)


def _named(value: Any) -> Record:
    if isinstance(value, list):
        return {str(number): part for number, part in enumerate(value)}
    return value if isinstance(value, dict) else Malformed("no JSON object")


def _array(path: Path) -> Iterator[Record]:
    """The records of a JSON array, of an object with records in it, or of JSON lines under the name .json."""
    try:
        with path.open(encoding=encoding_of(path)) as file:
            text = file.read(_CHUNK).lstrip()
            if text[:1] == "[":
                yield from _array_of(path, file, text)
                return
        first, _, more = text.partition("\n")
        if more.strip() and isinstance(_record(first.encode()), dict):
            yield from (_record(line) for _, line in numbered_lines(path))
            return
        value = json.loads(path.read_text(encoding=encoding_of(path)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is damaged or cut off ({first_line(error)})") from None
    except RecursionError:
        raise ValueError(f"{path}: is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: its text is not UTF-8 ({first_line(error)})") from None
    yield from _records_in(path, value)


def _array_of(path: Path, file: IO[str], text: str) -> Iterator[Record]:
    decoder, at = json.JSONDecoder(), 1
    while True:
        at = _skip(text, at)
        try:
            if text[at : at + 1] == "]":
                break
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            held = len(text) - at
            if held > lines.MAX_RECORD:
                raise ValueError(f"{path}: a record of more than {lines.MAX_RECORD:,} characters") from None
            if not (more := file.read(max(_CHUNK, held))):  # twice as much each time, or a long record took for ever
                raise ValueError(f"{path}: is damaged or cut off ({error.msg})") from None
            text, at = text[at:] + more, 0
            continue
        yield _named(value)
    if rest := (text[at + 1 :] + file.read(_CHUNK)).strip():
        raise ValueError(f"{path}: goes on behind the end of its array, with {rest[:40]!r}")


def _records_in(path: Path, value: Any) -> Iterator[Record]:
    """The records of an object: one list of objects besides what else it says, records by their names, or columns.

    The name of a record, which GQA has as the question's number, is its `id` where it has none. Columns of values by
    row, `{"question": {"0": ..., "1": ...}, ...}`, are what pandas writes.
    """
    parts = list(value.values()) if isinstance(value, dict) else []
    lists = [part for part in parts if isinstance(part, list) and part and all(isinstance(one, dict) for one in part)]
    if len(lists) == 1:
        yield from lists[0]
    elif parts and all(isinstance(part, dict) and part for part in parts):
        if all(part.keys() == parts[0].keys() and all(map(str.isdecimal, part)) for part in parts):
            for row in parts[0]:
                yield {name: column[row] for name, column in value.items()}
        else:
            yield from ({"id": name, **record} for name, record in value.items())
    else:
        raise ValueError(f"{path}: is no JSON array, nor an object with one list of records ({len(lists)} in it)")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in " \t\r\n,":
        at += 1
    return at
