"""One model on one benchmark: every item answered and scored once, however often the run is interrupted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from easyr1_fgrpo.evaluation.answers.asking import Answer, Rejected
from easyr1_fgrpo.evaluation.answers.pictures import Picture, prepare
from easyr1_fgrpo.evaluation.benchmarks import Item, Reject
from easyr1_fgrpo.evaluation.mode import Mode
from easyr1_fgrpo.evaluation.results.outcome import Outcome
from easyr1_fgrpo.evaluation.results.results import Meta, RejectRecord
from easyr1_fgrpo.evaluation.scoring.judges import NoJudge
from easyr1_fgrpo.evaluation.scoring.score import Scoring, Subject, score
from easyr1_fgrpo.evaluation.styles import Style
from easyr1_fgrpo.files import replacing
from easyr1_fgrpo.judges.protocol import Failure
from easyr1_fgrpo.model_client.chat import CallFailed
from easyr1_fgrpo.terminal import progress_bar
from easyr1_fgrpo.traces import TraceRecord, TraceWriter

AWAY = (Failure.UNREACHABLE, Failure.REFUSED, Failure.DEADLINE)
"""Failures that say nothing about the question."""

READ_AT_ONCE = 16
"""Rows of a benchmark."""

Respond = Callable[[Item, Sequence[Picture]], Awaitable[Answer]]
"""Gives the model's answer to an item."""


@dataclass(frozen=True)
class Task:
    """What is to be measured.

    Attributes:
        model: its name in tables and files.
        style: how it is asked and read.
        benchmark: its name.
        mode: how responses are drawn; None for traces that are there already.
        source: the benchmark's rows.
        answer_key: hash of everything an answer depends on.
        respond: gives answers.
        expected: rows there should be, for the progress bar; None when not known.
    """

    model: str
    style: Style
    benchmark: str
    source: Iterator[Item | Reject]
    answer_key: Callable[[Item], str]
    respond: Respond
    mode: Mode | None = None
    expected: int | None = None

    @property
    def traces(self) -> tuple[str, str]:
        """First and second part of the name of its trace file."""
        return self.model, f"{self.benchmark}-{self.mode}" if self.mode else self.benchmark


@dataclass
class Tally:
    """What came of a benchmark's rows: the items that were asked, outcomes by their number, and what was rejected."""

    items: list[Meta] = field(default_factory=list)
    by_index: dict[int, Outcome] = field(default_factory=dict)
    rejects: list[RejectRecord] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        """In the benchmark's order."""
        return [self.by_index[index] for index in sorted(self.by_index)]

    def rejected(self, stage: str) -> int:
        """How many rows ("load") or items ("answer") were rejected."""
        return sum(reject.stage == stage for reject in self.rejects)


async def run_items(task: Task, scoring: Scoring, out: Path, concurrency: int) -> Tally:
    """Answer and score every item, `concurrency` of them at a time; images are decoded for those under way only.

    Each scored item is one line of `traces/<model>-<benchmark>-<mode>.jsonl`, flushed; lines that are there are
    used as long as nothing they depend on changes. Rejected items, and those whose judge was away, are tried again
    the next time.

    Raises:
        ModelGone: when a model cannot be asked any more; what is finished stays.
        ValueError, OSError: when the benchmark cannot be read.
    """
    path = out / "traces" / f"{'-'.join(task.traces)}.jsonl"
    begun = path.exists()
    finished = finished_outcomes(path)
    used: set[str] = set()
    rows = _Rows(task)
    (out / "images").mkdir(parents=True, exist_ok=True)
    with (
        progress_bar(total=task.expected, desc=", ".join(task.traces), unit="item", smoothing=0.05) as bar,
        TraceWriter(out, *task.traces) as writer,
    ):

        async def work() -> None:
            while (row := await rows.next()) is not None:
                index, item = row
                key = scoring.key(task.answer_key(item))
                used.add(key)
                if key in finished:
                    rows.tally.by_index[index] = finished[key].model_copy(update={"index": index})
                else:
                    await finish(Subject(task.model, task.style, item, index, key))
                bar.update()

        async def finish(subject: Subject) -> None:
            try:
                record = await _measure(subject, task, scoring, out / "images")
            except (Rejected, CallFailed) as error:
                rows.reject(subject.item.id, "answer", str(error))
            else:
                writer.write(record)
                rows.tally.by_index[subject.index] = outcome_of(record)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    if begun:  # a new file holds this run's records alone
        keep_only(path, used)
    rows.tally.rejects.sort(key=lambda reject: (reject.stage, reject.row))  # they come in no order of their own
    return rows.tally


async def _measure(subject: Subject, task: Task, scoring: Scoring, image_folder: Path) -> TraceRecord:
    pictures = await asyncio.to_thread(_pictures, subject.item, task.style, image_folder)
    answer = await task.respond(subject.item, pictures)
    return await score(subject, pictures, answer, scoring)


def _pictures(item: Item, style: Style, folder: Path) -> list[Picture]:
    """Decode, resize, encode and keep an item's images.

    Raises:
        Rejected: when one is missing or damaged.
    """
    try:
        pictures = prepare(item.load_images(), style.pixels, fit=style.coordinates == "pixels")
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise Rejected(" ".join(f"image: {error or type(error).__name__}".split())) from error
    for picture in pictures:
        picture.save(folder)
    return pictures


class _Rows:
    """The source's rows, one at a time to whoever asks; they are read in a thread, some at once."""

    def __init__(self, task: Task) -> None:
        self.tally = Tally()
        self._task = task
        self._lock = asyncio.Lock()
        self._read: deque[Item | Reject] = deque()
        self._ids: set[str] = set()

    async def next(self) -> tuple[int, Item] | None:
        """The next item and its number; None when there are no more."""
        async with self._lock:
            while self._read or await self._read_more():
                row = self._read.popleft()
                if isinstance(row, Item):
                    return self._count(row), row
                self.reject(row.row, "load", row.reason)
        return None

    async def _read_more(self) -> bool:
        """Whether there were any; a thread costs as much as a row, so it reads some."""
        self._read.extend(await asyncio.to_thread(list, islice(self._task.source, READ_AT_ONCE)))
        return bool(self._read)

    def reject(self, row: str, stage: str, reason: str) -> None:
        task = self._task
        self.tally.rejects.append(
            RejectRecord(model=task.model, benchmark=task.benchmark, row=row, stage=stage, reason=reason)
        )

    def _count(self, item: Item) -> int:
        if item.id in self._ids:
            raise ValueError(f"{item.benchmark}: two rows have the id {item.id!r}")
        self._ids.add(item.id)
        self.tally.items.append(Meta(id=item.id, category=item.category, group=item.group))
        return len(self.tally.items) - 1


# ---------------------------------------------------------------------- finished records


def outcome_of(record: TraceRecord) -> Outcome:
    """The outcome of an evaluation's record."""
    return Outcome.from_record(record, tokens=record.evaluation.tokens if record.evaluation else 0)


def finished_outcomes(path: Path) -> Mapping[str, Outcome]:
    """Outcomes by key of the finished records in a trace file; a torn line counts as none."""
    return {record.evaluation.key: outcome_of(record) for _, record in _records(path) if _finished(record)}


def keep_only(path: Path, keys: set[str]) -> None:
    """Leave one line per key in a trace file, the last; records of other settings and torn lines go."""
    last = {record.evaluation.key: number for number, record in _records(path) if record.evaluation.key in keys}
    kept = set(last.values())
    with replacing(path) as part, path.open("rb") as file, part.open("wb") as left:
        left.writelines(line for number, line in enumerate(file) if number in kept)


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """An evaluation's records, each with its line number from 0."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file):
            with suppress(ValidationError):
                record = TraceRecord.model_validate_json(line)
                if record.evaluation is not None:
                    yield number, record


def _finished(record: TraceRecord) -> bool:
    """Whether nothing is left to ask: a judge or scorer that was away is asked again the next time."""
    verdicts = [record.consistency, *(sentence.verdict for sentence in record.sentences)]
    away = any(
        verdict is not None and verdict.failure in AWAY and verdict.judge != NoJudge.name for verdict in verdicts
    )
    scorer = record.evaluation.scorer if record.evaluation else None
    return not away and (scorer is None or scorer.right is not None or bool(scorer.text))
