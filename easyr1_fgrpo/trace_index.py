"""Trace files of any size: an index of fixed size first, then the records that are wanted.

A long run has more traces than fit into memory, and a page shows some of them. The index has about 60 bytes a record;
of several records with one key the one written last stands in it. Lines that are no records are one line a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from easyr1_fgrpo.files import json_object
from easyr1_fgrpo.judges.protocol import Label
from easyr1_fgrpo.rewards.signal import Reason
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.traces import TraceRecord

ROW = np.dtype(
    [
        *(("file", "u2"), ("offset", "u8"), ("length", "u4")),
        *(("split", "u1"), ("step", "i8"), ("index", "i8"), ("session", "i8")),
        *(("written_at", "f8"), ("tells", "u8"), ("pictures", "i8")),
    ]
)
"""What the index knows of a record: where it lies, its key, what it tells, and a hash of its pictures."""

KEY = ("split", "step", "index", "session")
"""`TraceRecord.key`."""

LARGEST = 1 << 62
"""No step and no index is."""

CHUNK = 1 << 14
"""Rows that are Python objects at a time."""

RIGHT_BUT_INCONSISTENT, RIGHT_BUT_UNGROUNDED, WRONG_BUT_CONSISTENT = 1, 2, 4
"""Bits of what a record tells; above them two for each signal: it is below 0.5, its judge did not measure it."""

MOST_SIGNALS = 30
"""Further ones are told by no bit."""

_UNMEASURED = {reason.name for reason in Reason if reason.name.startswith("JUDGE_")} | {Reason.REWARD_FAILED.name}


@dataclass(frozen=True)
class TraceIndex:
    """Records of some trace files, in the order in which their keys first appear.

    Attributes:
        paths: the files; a row's `file` is an index of it.
        splits: a row's `split` is an index of it.
        rows: see `ROW`.
        damaged: lines that are no records.
        problems: one line for each file that has such lines, or cannot be read.
    """

    paths: tuple[Path, ...]
    splits: tuple[str, ...]
    rows: NDArray[Any]
    damaged: int
    problems: tuple[str, ...]

    def records(self, rows: NDArray[Any] | None = None) -> Iterator[TraceRecord]:
        """The records of some rows of the index, of all by default, in their order."""
        rows = self.rows if rows is None else rows
        files = [path.open("rb") for path in self.paths]
        try:
            for number, offset, length in zip(rows["file"], rows["offset"], rows["length"], strict=True):
                file = files[number]
                file.seek(int(offset))
                yield TraceRecord.model_validate_json(file.read(int(length)))
        finally:
            for file in files:
                file.close()


def index_traces(paths: Iterable[Path], signals: dict[str, int] | None = None) -> TraceIndex:
    """Read the files once.

    Args:
        paths: trace files; one that cannot be read is a problem.
        signals: names of signals and their numbers, which grow; give one to all files whose `tells` are compared.
    """
    signals = {} if signals is None else signals
    splits: dict[str, int] = {}
    read: list[Path] = []
    damaged = 0
    problems: list[str] = []
    chunks = [np.empty(0, ROW)]
    for path in paths:
        try:
            with path.open("rb") as file:
                read.append(path)
                lines = _Lines(path, file)
                chunks += _chunks(lines, len(read) - 1, splits, signals)
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
        else:
            damaged += lines.damaged
            problems += lines.problems()
    rows = _last_of_each_key(np.concatenate(chunks))
    return TraceIndex(tuple(read), tuple(splits), rows, damaged, tuple(problems))


def _chunks(lines: _Lines, number: int, splits: dict[str, int], signals: dict[str, int]) -> Iterator[NDArray[Any]]:
    """The rows of a file, some at a time."""
    rows = (
        (
            *(number, offset, length, splits.setdefault(record.split, len(splits))),
            *(record.step, record.index, record.session, record.written_at),
            *(_tells(record, signals), hash(record.images)),
        )
        for offset, length, record in lines
    )
    while part := list(islice(rows, CHUNK)):
        yield np.array(part, ROW)


class _Lines:
    """The records of an open file, each with its place; counts the lines that are none."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._torn, self._other, self._first = 0, 0, ""

    def __iter__(self) -> Iterator[tuple[int, int, TraceRecord]]:
        offset = 0
        size = self._path.stat().st_size
        with progress_bar(total=size, desc="Traces", unit="B", unit_scale=True, delay=1.0, leave=False) as bar:
            for number, line in enumerate(self._file, start=1):
                if record := self._record(number, line):
                    yield offset, len(line), record
                offset += len(line)
                bar.update(len(line))

    def _record(self, number: int, line: bytes) -> TraceRecord | None:
        if not line.strip():
            return None
        try:
            record = TraceRecord.model_validate_json(line)
            if max(abs(record.step), abs(record.index), abs(record.session)) < LARGEST:
                return record
            why = "step, index, session: too large"
        except ValidationError as error:
            if not json_object(line):
                self._torn += 1
                return None
            why = f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
        self._other += 1
        self._first = self._first or f", first in line {number}: {why}"
        return None

    @property
    def damaged(self) -> int:
        """How many lines are no records."""
        return self._torn + self._other

    def problems(self) -> list[str]:
        """One line about the lines that are no records; none where there are none."""
        if not self.damaged:
            return []
        counts = f"{self._torn} torn lines and {self._other} records of another schema"
        return [f"{self._path}: left out are {counts}{self._first}"]


def _tells(record: TraceRecord, signals: dict[str, int]) -> int:
    accuracy = record.signals.get("accuracy")
    right = None if accuracy is None else accuracy.value
    label = record.consistency.label if record.consistency else None
    tells = 0
    if right == 1.0:
        if label in (Label.NO, Label.UNCERTAIN):
            tells |= RIGHT_BUT_INCONSISTENT
        if any(sentence.verdict and sentence.verdict.label is Label.INCORRECT for sentence in record.sentences):
            tells |= RIGHT_BUT_UNGROUNDED
    elif right is not None and label is Label.YES:
        tells |= WRONG_BUT_CONSISTENT
    for name, signal in record.signals.items():
        number = signals.setdefault(name, len(signals))
        if number < MOST_SIGNALS:
            low = signal.value is not None and signal.value < 0.5
            tells |= (low | (signal.reason in _UNMEASURED) << 1) << (3 + 2 * number)
    return tells


def _last_of_each_key(rows: NDArray[Any]) -> NDArray[Any]:
    """Of rows with one key the one written last, or of those of one time the later line; where the first one stood."""
    place = np.arange(len(rows))
    order = np.lexsort((place, rows["written_at"], *(rows[part] for part in KEY)))
    ordered = rows[order]
    is_last = np.ones(len(rows), bool)
    for part in KEY:
        changed = ordered[part][1:] != ordered[part][:-1]
        is_last[:-1] = changed if part == KEY[0] else is_last[:-1] | changed
    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    first = np.minimum.reduceat(place[order], starts) if len(ends) else place[:0]
    return ordered[ends][np.argsort(first)]
