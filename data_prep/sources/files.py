"""Where a source's files are, and their records: parquet, JSON lines, a JSON array; never a whole file in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.sources.item import Reject, SourceError

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_BATCH_ROWS = 64
_CHUNK = 1 << 20

Record = dict[str, Any] | Reject
"""What a file holds at one place: a record, or why it is none."""


def find_files(location: str, alternatives: Sequence[str]) -> list[Path]:
    """The files of a source.

    Args:
        location: a file, a folder, or the id of a data set on the Hugging Face hub, whose files are downloaded into the
            hub's cache (again for free).
        alternatives: glob patterns below the location; the first that finds anything counts. In a folder a pattern's
            last part alone will do.

    Raises:
        SourceError: when nothing is found, or when the hub cannot be read.
    """
    path = Path(location).expanduser()
    if path.is_file():
        return [path]
    for pattern in alternatives:
        root = path if path.is_dir() else _download(location, pattern)
        if found := matching(root, [pattern]):
            return found
    raise SourceError(f"{location}: holds none of {', '.join(alternatives)}")


def matching(folder: Path, alternatives: Sequence[str]) -> list[Path]:
    """The files in a folder that the first pattern with any finds; a pattern's last part alone will do, too."""
    for pattern in alternatives:
        for form in (pattern, Path(pattern).name):
            if found := sorted(path for path in folder.glob(form) if path.is_file()):
                return found
    return []


def is_hub_id(location: str) -> bool:
    """Whether a location is no local path but may be a hub id like `array/SAT`."""
    return not Path(location).expanduser().exists() and _HUB_ID.fullmatch(location) is not None


def read_records(paths: Sequence[Path], start: int = 0) -> Iterator[Record]:
    """The records of several files, one after the other, from number `start` on.

    Raises:
        SourceError: when a file cannot be read; a damaged line of a JSON-lines file is a `Reject` instead.
    """
    for path in paths:
        if path.suffix == ".parquet":
            rows = _parquet_rows(path)
            yield from _parquet(path, start)
            start = max(0, start - rows)
        else:
            for record in _text_records(path):
                if start:
                    start -= 1
                else:
                    yield record


def count_records(paths: Sequence[Path]) -> int | None:
    """How many records the files hold; None where only reading would tell."""
    if all(path.suffix == ".parquet" for path in paths):
        return sum(_parquet_rows(path) for path in paths)
    if all(path.suffix == ".jsonl" for path in paths):
        return sum(1 for path in paths for _ in _lines(path))
    return None


def _download(location: str, pattern: str) -> Path:
    if not is_hub_id(location):
        raise SourceError(f"{location}: no such file or folder, and no hub id like owner/name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(location, repo_type="dataset", allow_patterns=[pattern]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise SourceError(
            f"{location}: cannot be read from the hub ({type(error).__name__}: {first_line}); give a local folder"
        ) from None


# ---------------------------------------------------------------------- parquet


def _parquet_rows(path: Path) -> int:
    try:
        rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as parquet ({_first_line(error)})") from None
    return rows


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
        raise SourceError(f"{path}: cannot be read as parquet ({_first_line(error)})") from None


# ---------------------------------------------------------------------- JSON


def _text_records(path: Path) -> Iterator[Record]:
    if path.suffix == ".jsonl":
        return (_record(line) for line in _lines(path))
    if path.suffix == ".json":
        return _array(path)
    raise SourceError(f"{path}: neither .parquet nor .jsonl nor .json")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.strip())


def _record(line: bytes) -> Record:
    try:
        value = json.loads(line)
    except ValueError as error:
        return Reject("malformed record", _first_line(error))
    return value if isinstance(value, dict) else Reject("malformed record", "no JSON object")


def _array(path: Path) -> Iterator[Record]:
    decoder, text, at = json.JSONDecoder(), "", 0
    with path.open(encoding="utf-8") as file:
        if (text := file.read(_CHUNK).lstrip())[:1] != "[":
            raise SourceError(f"{path}: is no JSON array")
        at = 1
        while True:
            at = _skip(text, at)
            try:
                if text[at : at + 1] == "]":
                    return
                value, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if not (more := file.read(_CHUNK)):
                    raise SourceError(f"{path}: is damaged or cut off ({error.msg})") from None
                text, at = text[at:] + more, 0
                continue
            yield value if isinstance(value, dict) else Reject("malformed record", "no JSON object")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in " \t\r\n,":
        at += 1
    return at


def _first_line(error: Exception) -> str:
    return next(iter(chain(str(error).splitlines(), [type(error).__name__])))
