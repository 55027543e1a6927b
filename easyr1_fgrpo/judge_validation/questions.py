"""Trace records as questions with reference verdicts: everything the reference was asked, to be asked again."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from easyr1_fgrpo.judges.protocol import JudgeRequest, Question
from easyr1_fgrpo.pictures import UnreadableImage, decode, opened
from easyr1_fgrpo.rewards import Sample
from easyr1_fgrpo.rewards.suite import MAX_CONTEXT
from easyr1_fgrpo.trace_index import TraceIndex, index_traces
from easyr1_fgrpo.traces import SentenceRecord, TraceRecord, VerdictRecord

if TYPE_CHECKING:
    from PIL.Image import Image as OpenImage

IMAGES_IN_MEMORY = 64


@dataclass(frozen=True)
class Case:
    """One question about one record, as training asked it.

    Attributes:
        kind: which question.
        record: the record's number; questions with one number are resampled together.
        question: the user's question with its choices.
        choices: the options' texts.
        trace: the whole trace.
        answer: the rollout's answer.
        images: hashes of the images the policy saw.
        start: grounding: where the claim starts in the trace.
        claim: grounding: the sentence to judge.
        reference: the recorded verdict.
    """

    kind: Question
    record: int
    question: str
    choices: tuple[str, ...]
    trace: str
    answer: str
    images: tuple[str, ...]
    reference: VerdictRecord
    start: int = 0
    claim: str = ""

    @property
    def context(self) -> str:
        """What the judge reads before its claim; for consistency the trace."""
        if self.kind is Question.CONSISTENCY:
            return self.trace
        return self.trace[max(0, self.start - MAX_CONTEXT) : self.start]

    def request(self, images: tuple[OpenImage, ...], limit_s: float) -> JudgeRequest:
        """The question as the rewards put it to a judge."""
        if self.kind is Question.CONSISTENCY:
            return JudgeRequest(self.kind, self.question, (), self.context, "", self.answer, limit_s)
        return JudgeRequest(self.kind, self.question, images, self.context, self.claim, "", limit_s)


@dataclass(frozen=True)
class Questions:
    """What there is to ask.

    Attributes:
        cases: the questions in the records' order.
        left_out: per kind, how many questions are not asked, by reason.
    """

    cases: list[Case] = field(default_factory=list)
    left_out: dict[Question, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in Question})


class Images:
    """The images of records, by hash.

    Args:
        folders: where `<sha256>.png` may lie.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(folders))
        self.open = lru_cache(IMAGES_IN_MEMORY)(self._open)
        self.size = lru_cache(None)(self._size)

    def _open(self, digest: str) -> OpenImage:
        return decode(self._path(digest).read_bytes())

    def _size(self, digest: str) -> tuple[int, int] | None:
        """Width and height in pixels, without decoding; None for an image that is not there or is damaged."""
        try:
            with opened(self._path(digest)) as image:
                return image.size
        except UnreadableImage:
            return None

    def _path(self, digest: str) -> Path:
        paths = [folder / f"{digest}.png" for folder in self.folders]
        return next((path for path in paths if path.is_file()), paths[0])


@dataclass(frozen=True)
class Records:
    """Some of the trace records in files.

    Attributes:
        chosen: those that are used.
        read: how many there are, each once.
        damaged: lines that were no record.
        repeated: records that another file holds too, word for word.
    """

    chosen: list[TraceRecord]
    read: int
    damaged: int
    repeated: int


def read_records(paths: Sequence[Path], limit: int | None = None, seed: int = 0) -> Records:
    """Read trace files; in memory are the records that are used.

    Keys are unique within a run only, and several checkpoints are evaluated on the same questions: a record gives way
    to a later one of its key in its own file, and to an equal one elsewhere.

    Args:
        paths: trace files.
        limit: so many at most: a seeded choice in file order, for the head of a file is the start of training and no
            fair sample. None for all.
        seed: of that choice.

    Raises:
        OSError: when a file cannot be read.
    """
    indices = []
    for path in paths:
        path.open("rb").close()  # an index would go on without it
        indices.append(index_traces([path]))
    rows = [(number, row) for number, index in enumerate(indices) for row in range(len(index.rows))]
    n_rows = len(rows)
    if len(paths) > 1:
        rows = list(dict(zip(_digests(indices), rows, strict=True)).values())
    n_read = len(rows)
    if limit is not None and limit < n_read:
        rows = [rows[number] for number in sorted(random.Random(seed).sample(range(n_read), limit))]
    chosen = [
        record
        for number, of_file in groupby(rows, key=itemgetter(0))
        for record in indices[number].records(indices[number].rows[[row for _, row in of_file]])
    ]
    return Records(chosen, n_read, sum(index.damaged for index in indices), n_rows - n_read)


def _digests(indices: Iterable[TraceIndex]) -> Iterator[bytes]:
    """Of each record, but for when it was written."""
    for index in indices:
        for record in index.records():
            yield hashlib.blake2b(record.model_dump_json(exclude={"written_at"}).encode(), digest_size=16).digest()


def questions_of(records: Sequence[TraceRecord], judged: Collection[Question], images: Images) -> Questions:
    """Every question that the records' reference judge was asked, and why the others are left out.

    Args:
        records: what to ask about.
        judged: the kinds of question that there is a judge for.
        images: where the records' images are.
    """
    questions = Questions()
    for number, record in enumerate(records):
        for kind, sentence in [
            (Question.CONSISTENCY, None),
            *((Question.GROUNDING, item) for item in record.sentences),
        ]:
            verdict = record.consistency if sentence is None else sentence.verdict
            reason = _why_not(record, kind, sentence, judged, images)
            if reason or verdict is None:
                questions.left_out[kind][reason or "without a reference verdict"] += 1
            else:
                questions.cases.append(_case(number, record, kind, sentence, verdict))
    return questions


def _why_not(
    record: TraceRecord, kind: Question, sentence: SentenceRecord | None, judged: Collection[Question], images: Images
) -> str:
    """Why a question is not asked; empty when nothing speaks against it."""
    if kind not in judged:
        return "no judge is configured"
    if record.trace is None or (kind is Question.CONSISTENCY and record.answer is None):
        return "no trace or no answer"
    if sentence is not None and sentence.trivial:
        return "trivial sentence"
    if sentence is not None and any(images.size(digest) is None for digest in record.images):
        return "image missing or damaged"
    return ""


def _case(
    number: int, record: TraceRecord, kind: Question, sentence: SentenceRecord | None, verdict: VerdictRecord
) -> Case:
    sample = Sample(record.question, record.choices, record.ground_truth)
    case = Case(
        kind=kind,
        record=number,
        question=sample.question_with_choices,
        choices=record.choices,
        trace=record.trace or "",
        answer=record.answer or "",
        images=record.images,
        reference=verdict,
    )
    return case if sentence is None else replace(case, start=sentence.start, claim=sentence.text)
