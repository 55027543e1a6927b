"""The layout in which stages hand rows on: a folder of shards, and the one parquet schema of a row.

    rows-00000.parquet   at most 1,000 rows in the columns of `easyr1_fgrpo.rows`, zstd
    rejects-00000.jsonl  what that stretch of the source lost, one {"source", "row", "reason", "detail"} a line
    ...
    summary.json         written last: {"source", "in", "out", "rejected": {reason: count}, ...}

A shard stands for a fixed stretch of the source (its rows and its rejects together), so which rows are in it depends on
nothing that happened before, and a killed stage goes on after its last finished shard. A file appears under its name in
one step; a shard's rejects appear before its rows, so a shard is finished when its rows are there.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SHARD_ROWS = 1000
"""Source rows of a shard, rejects included."""

GROUP_ROWS = 100
"""Rows of a parquet row group: what a reader has in memory at a time."""

ROW_SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        "images": pa.list_(pa.struct([("bytes", pa.binary())])),
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
"""One row of every source. Beside what `easyr1_fgrpo.rows.ExtraInfo` says: `index` is the row's number in its source,
`dataset` the part of the source it comes from (gqa, coco, ...), `question_type` the source's own label, `licence` the
annotations' licence; "" where a source says nothing."""


def shard_paths(place: str | Path) -> list[Path]:
    """The parquet files of a folder of shards, in order; a file stands for itself.

    Raises:
        FileNotFoundError: when there is no such file, or the folder has no shard.
    """
    path = Path(place)
    if path.is_file():
        return [path]
    if not (paths := sorted(path.glob("rows-*.parquet"))):
        raise FileNotFoundError(f"{path}: no such file, nor a folder with rows-00000.parquet")
    return paths


def read_rows(place: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a file or a folder of shards, in order, 100 in memory at a time.

    Args:
        place: a parquet file or a folder of shards.
        columns: only these; a struct's field by its dotted name ("extra_info.question"). Without "images" the
            pictures are not read.
    """
    for path in shard_paths(place):
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=columns and list(columns)):
                yield from batch.to_pylist()


def read_rejects(folder: str | Path) -> Iterator[dict[str, Any]]:
    """What the stage that wrote the folder rejected, in order: source, row, reason, detail."""
    for path in sorted(Path(folder).glob("rejects-*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """The folder's summary.json, None while it is not finished."""
    path = Path(folder) / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_rows(path: str | Path, rows: Iterable[dict[str, Any]], schema: pa.Schema = ROW_SCHEMA) -> int:
    """Write one parquet file that appears in one step, 100 rows in memory at a time.

    Returns:
        How many rows were written.
    """
    file = ParquetFileWriter(Path(path), schema)
    for row in rows:
        file.add(row)
    return file.close()


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON file that appears in one step."""
    path = Path(path)
    part = _part(path)
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


class ParquetFileWriter:
    """One parquet file, which appears under its name when it is closed; the same rows give the same bytes."""

    def __init__(self, path: Path, schema: pa.Schema = ROW_SCHEMA) -> None:
        self._path, self._schema = path, schema
        self._rows: list[dict[str, Any]] = []
        self._written = 0
        self._writer = pq.ParquetWriter(_part(path), schema, compression="zstd")

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self._rows.append(row)
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def close(self) -> int:
        """Finish the file; returns its number of rows."""
        self._flush()
        self._writer.close()
        os.replace(_part(self._path), self._path)
        return self._written

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._writer.close()
        _part(self._path).unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._written += len(self._rows)
            self._rows = []


class ShardWriter:
    """Writes one source's rows and rejects, in the source's order, as shards.

    Every source row is given to `add` or to `reject`, from number `position` on. Used as a context manager: the last,
    shorter shard is written when the block ends without an error.

    Attributes:
        position: source rows in finished shards, where a killed stage goes on.
    """

    def __init__(self, folder: str | Path, source: str) -> None:
        self._folder, self._source = Path(folder), source
        self._folder.mkdir(parents=True, exist_ok=True)
        self._shard = next(shard for shard in count() if not self._name("rows", shard).exists())
        self.position = sum(
            pq.read_metadata(self._name("rows", shard)).num_rows + _lines(self._name("rejects", shard))
            for shard in range(self._shard)
        )
        self._rejects: list[str] = []
        self._held = 0
        self._file: ParquetFileWriter | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Keep the source's next row, in the columns of `ROW_SCHEMA`."""
        self._rows_file().add(row)
        self._count()

    def reject(self, row: int, reason: str, detail: str = "") -> None:
        """Reject the source's next row.

        Args:
            row: its number in the source.
            reason: of a small set, to be counted.
            detail: what is wrong with this one.
        """
        entry = {"source": self._source, "row": row, "reason": reason, "detail": detail}
        self._rejects.append(json.dumps(entry) + "\n")
        self._count()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._held:
            self._finish()
        elif self._file is not None:
            self._file.abandon()

    def _count(self) -> None:
        self._held += 1
        if self._held == SHARD_ROWS:
            self._finish()

    def _finish(self) -> None:
        rejects = self._name("rejects", self._shard)
        part = _part(rejects)
        part.write_text("".join(self._rejects), encoding="utf-8")
        os.replace(part, rejects)
        self._rows_file().close()
        self.position += self._held
        self._shard, self._held, self._rejects, self._file = self._shard + 1, 0, [], None

    def _rows_file(self) -> ParquetFileWriter:
        if self._file is None:
            self._file = ParquetFileWriter(self._name("rows", self._shard))
        return self._file

    def _name(self, kind: str, shard: int) -> Path:
        return self._folder / f"{kind}-{shard:05d}.{'parquet' if kind == 'rows' else 'jsonl'}"


def counts(folder: str | Path) -> dict[str, Any]:
    """What a folder's shards hold, from the files themselves: {"in", "out", "rejected": {reason: count}}."""
    out = sum(pq.read_metadata(path).num_rows for path in sorted(Path(folder).glob("rows-*.parquet")))
    reasons = Counter(entry["reason"] for entry in read_rejects(folder))
    return {"in": out + reasons.total(), "out": out, "rejected": dict(sorted(reasons.items()))}


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
