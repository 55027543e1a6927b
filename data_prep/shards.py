"""The layout in which stages hand rows on: a folder of shards.

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
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from easyr1_fgrpo.files import write_whole
from easyr1_fgrpo.rows import BATCH_ROWS, ParquetWriter

SHARD_ROWS = 1000
"""Questions of a shard, rejects included."""


def shard_paths(rows: str | Path) -> list[Path]:
    """The parquet files of a folder of shards, in order; a file stands for itself.

    Raises:
        FileNotFoundError: when there is no such file, or the folder has no shard.
    """
    path = Path(rows)
    if path.is_file():
        return [path]
    if not (paths := sorted(path.glob("rows-*.parquet"))):
        there = ", ".join(sorted(file.name for file in path.glob("*.parquet")))
        hint = f"; name one of its files: {there}" if there else ""
        raise FileNotFoundError(f"{path}: no such file, nor a folder with rows-00000.parquet{hint}")
    return paths


def read_rows(rows: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a file or a folder of shards, in order, a few in memory at a time.

    Args:
        rows: a parquet file or a folder of shards.
        columns: only these; a struct's field by its dotted name ("extra_info.question"). Without "images" the
            pictures are not read.
    """
    for path in shard_paths(rows):
        with opened(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns and list(columns)):
                yield from batch.to_pylist()


def opened(path: Path) -> pq.ParquetFile:
    """A parquet file of rows.

    Raises:
        ValueError: when it is none.
    """
    try:
        return pq.ParquetFile(path, buffer_size=1 << 20)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: no parquet file ({error}); `fgrpo data import` makes one of rows") from error


def read_rejects(folder: str | Path) -> Iterator[dict[str, Any]]:
    """What the stage that wrote the folder rejected, in order: source, row, reason, detail."""
    for path in sorted(Path(folder).glob("rejects*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """The folder's summary.json, None while it is not finished."""
    path = Path(folder) / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


class ShardWriter:
    """Writes one source's rows and rejects, in the source's order, as shards.

    Every question of the source is given to `add` or to `reject`, from number `position` on. Used as a context manager:
    the last, shorter shard is written when the block ends without an error.

    Attributes:
        position: questions in finished shards, where a killed stage goes on.
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
        self._file: ParquetWriter | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Keep the source's next question as a row, in the columns of `ROW_SCHEMA`."""
        self._rows_file().add(row)
        self._count()

    def reject(self, row: int, reason: str, detail: str = "") -> None:
        """Reject the source's next question.

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
            self._file.__exit__(kind, error, trace)

    def _count(self) -> None:
        self._held += 1
        if self._held == SHARD_ROWS:
            self._finish()

    def _finish(self) -> None:
        rejects = self._name("rejects", self._shard)
        write_whole(rejects, "".join(self._rejects))
        self._rows_file().close()
        self.position += self._held
        self._shard, self._held, self._rejects, self._file = self._shard + 1, 0, [], None

    def _rows_file(self) -> ParquetWriter:
        if self._file is None:
            self._file = ParquetWriter(self._name("rows", self._shard))
        return self._file

    def _name(self, kind: str, shard: int) -> Path:
        return self._folder / f"{kind}-{shard:05d}.{'parquet' if kind == 'rows' else 'jsonl'}"


def counts(folder: str | Path) -> dict[str, Any]:
    """What a folder's shards hold, from the files themselves: {"in", "out", "rejected": {reason: count}}."""
    out = sum(pq.read_metadata(path).num_rows for path in sorted(Path(folder).glob("rows-*.parquet")))
    reasons = Counter(entry["reason"] for entry in read_rejects(folder))
    return {"in": out + reasons.total(), "out": out, "rejected": dict(sorted(reasons.items()))}


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
